/** Settings of several runs side by side. Pure. */
import type { RunRecord } from "../../shared/protocol/run";
import { stageOf } from "../../shared/protocol/run";

export interface DiffRow {
  /** "seed", "model.init", "stage.learning_rate". */
  readonly setting: string;
  /** One a run; null where a run has no such setting. */
  readonly values: readonly (string | null)[];
  readonly differs: boolean;
}

/** Every setting of the runs' own stages and of what surrounds them, in the order of the first run that has it. */
export function configDiff(runs: readonly RunRecord[]): DiffRow[] {
  const flat = runs.map((run) => {
    const { stages: _, name: __, ...around } = run.config;
    const settings = new Map<string, string>();
    flatten({ ...around, stage: stageOf(run) }, "", settings);
    settings.set("adapter", run.adapter);
    settings.set("version", run.version);
    return settings;
  });
  const names = [...new Set(flat.flatMap((settings) => [...settings.keys()]))];
  return names.map((setting) => {
    const values = flat.map((settings) => settings.get(setting) ?? null);
    return { setting, values, differs: new Set(values).size > 1 };
  });
}

function flatten(value: unknown, path: string, into: Map<string, string>): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    for (const [key, one] of Object.entries(value)) flatten(one, path === "" ? key : `${path}.${key}`, into);
  else into.set(path, Array.isArray(value) ? value.join(", ") : String(value));
}
