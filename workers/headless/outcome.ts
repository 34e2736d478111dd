/** Reads back what the stages of a run left, for its reports. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Generation, generation } from "../../src/shared/protocol/artefact";
import type { RunConfig } from "../../src/shared/protocol/config";
import type { RunEvent } from "../../src/shared/protocol/events";
import { reportHtml } from "./html";
import { stageFolder } from "./pipeline";
import type { RunReport, TextRow } from "./report";

/** The texts of the run's last evaluation; none where it has none. */
export async function generationsOf(config: RunConfig, out: string): Promise<Generation[]> {
  const stage = config.stages.findLast((one) => one.stage === "evaluate");
  if (!stage) return [];
  const text = await readFile(join(stageFolder(config, stage, out).output("generations"), "generations.jsonl"), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => generation.parse(JSON.parse(line)));
}

/** report.html of a finished run. */
export async function htmlReport(report: RunReport, out: string, rows: readonly TextRow[]): Promise<string> {
  const events = new Map<string, readonly RunEvent[]>();
  for (const stage of report.config.stages) events.set(stage.id, await stageFolder(report.config, stage, out).events());
  return reportHtml({ report, events, rows });
}
