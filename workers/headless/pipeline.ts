/**
 * All stages of a configuration in order. Several stages lie in DIR/stages/<id>/ each; a configuration of one stage uses
 * DIR itself. What is finished and still what is asked for is kept with --resume and --from.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NagiError } from "../../src/shared/errors";
import type { RunConfig, StageConfig } from "../../src/shared/protocol/config";
import { inputsOf, stageKey } from "../../src/shared/protocol/pipeline-inputs";
import type { Gpu } from "../engine/gpu/gpu";
import type { ModelShelf } from "../engine/train/inputs";
import type { Control, StageOutcome } from "../engine/train/stage";
import { CheckpointFolder } from "./folder";
import { modelSource } from "./sources";
import { StageFolder, type StageResult } from "./stage-folder";
import { runTask } from "./stage-run";

export interface PipelineOptions {
  readonly config: RunConfig;
  /** The output folder. */
  readonly out: string;
  readonly gpu: Gpu;
  /** Keep what is finished, go on where it stopped. */
  readonly resume: boolean;
  /** Keep what is finished before this stage, make it and all after it anew. */
  readonly from: string | null;
  readonly control: Control;
  readonly say: (line: string) => void;
}

export interface PipelineOutcome {
  readonly results: readonly StageResult[];
  /** The stage that did not finish, if any. */
  readonly ended: { readonly stage: StageConfig; readonly outcome: StageOutcome } | null;
}

/** Where a stage of a run lies. */
export function stageFolder(config: RunConfig, stage: StageConfig, out: string): StageFolder {
  return new StageFolder(config.stages.length === 1 ? out : join(out, "stages", stage.id));
}

/** Runs the stages. @throws NagiError config.invalid {path: "--from"}, and as runTask */
export async function runPipeline(options: PipelineOptions): Promise<PipelineOutcome> {
  const { config, from } = options;
  const known = config.stages.map(({ id }) => id);
  if (from !== null && !known.includes(from))
    throw new NagiError("config.invalid", `--from ${from}: there is no such stage. Stages: ${known.join(", ")}`, {
      file: "--from",
      path: "--from",
      problem: from,
      allowed: known.join(", "),
    });
  const results: StageResult[] = [];
  for (const [index, stage] of config.stages.entries()) {
    const keep = options.resume || (from !== null && index < known.indexOf(from));
    const done = await oneStage(options, stage, results, keep);
    if (done.result === null) return { results, ended: { stage, outcome: done.outcome } };
    results.push(done.result);
  }
  return { results, ended: null };
}

type Done = { readonly result: StageResult } | { readonly result: null; readonly outcome: StageOutcome };

async function oneStage(
  options: PipelineOptions,
  stage: StageConfig,
  before: readonly StageResult[],
  keep: boolean,
): Promise<Done> {
  const { config, out } = options;
  const several = config.stages.length > 1;
  const say = several ? (line: string) => options.say(`[${stage.id}] ${line}`) : options.say;
  const folder = stageFolder(config, stage, out);
  const inputs = inputsOf(config, stage, (id) => before.find(({ report }) => report.id === id)?.artefact.id);
  const finished = keep ? await folder.result() : null;
  if (finished?.key === stageKey(config, stage, inputs) && existsSync(folder.output(finished.artefact.kind))) {
    say("finished before");
    return { result: finished };
  }
  const resume = keep && finished === null && (await new CheckpointFolder(folder.path).loadCheckpoint()) !== null;
  if (several && !resume) await folder.clear();
  await folder.forget();
  const shelf = shelfOf(config, before, out);
  const { outcome, result } = await runTask({ ...options, stage, inputs, folder, shelf, resume, say });
  if (result === null) return { result, outcome };
  await folder.saveResult(result);
  return { result };
}

/** Models by reference, and what earlier stages made. */
function shelfOf(config: RunConfig, before: readonly StageResult[], out: string): ModelShelf {
  return {
    reference: async (reference) => modelSource(reference),
    artefact: async (id) => {
      const made = before.find(({ artefact }) => artefact.id === id);
      const stage = config.stages.find((one) => one.id === made?.report.id);
      if (made && stage) return { record: made.artefact, files: stageFolder(config, stage, out).files(made.artefact) };
      throw new NagiError("artefact.not_found", `There is no artefact ${id} in ${out}. Name a stage instead.`, { id });
    },
  };
}
