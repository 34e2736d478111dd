/** A run as it is listed and stored: one stage at work. */
import { z } from "zod";
import { sha256 } from "./artefact";
import { runConfig, type StageConfig, stageId } from "./config";
import { errorData, runState } from "./events";
import { stagePlace } from "./launch";

export const runRecord = z.strictObject({
  run_id: z.string().min(1),
  /** Of the whole pipeline. */
  config: runConfig,
  /** The stage of `config` that this run is. */
  stage: stageId,
  /** null for a run by itself. */
  pipeline_id: z.string().min(1).nullable(),
  /** null: in the browser. */
  place: stagePlace.nullable(),
  /** Slot of the stage ("model", "reward_model", "models.1", ...) to an artefact's id or a reference. */
  inputs: z.record(z.string(), z.string()),
  /** What it made, null before. */
  artefact: sha256.nullable(),
  state: runState,
  /** Why it failed, or is paused without having been asked to. */
  error: errorData.nullable(),
  created: z.number(),
  /** Seconds of training on the clock, pauses left out. */
  seconds: z.number().min(0),
  step: z.int().min(0),
  total_steps: z.int().min(0),
  /** Optimizer step of the newest checkpoint, null before the first. */
  checkpoint_step: z.int().min(0).nullable(),
  /** Description of the GPU adapter, empty before the run has started. */
  adapter: z.string(),
  version: z.string(),
  /** Final figures, empty before the end. */
  metrics: z.record(z.string(), z.number().nullable()),
});

export type RunRecord = z.infer<typeof runRecord>;

/** The settings of the run's own stage. */
export function stageOf(run: Pick<RunRecord, "config" | "stage">): StageConfig {
  const found = run.config.stages.find(({ id }) => id === run.stage);
  if (found === undefined) throw new Error(`the configuration "${run.config.name}" has no stage ${run.stage}`);
  return found;
}
