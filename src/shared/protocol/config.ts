/**
 * The configuration of a run: a pipeline of one stage or more. The only declaration, for the browser, the command line
 * and (issue 4) the remote worker; the stages' settings are those of `stages.ts`. No defaults here: `defaults.ts` fills
 * them, so that a stored config always says everything.
 */
import { z } from "zod";
import {
  type DataConfig,
  dataConfig,
  type RewardStageConfig,
  reference,
  type StageConfig,
  stageConfig,
} from "./stages";

export * from "./stages";

export const modelConfig = z.strictObject({
  model_name_or_path: reference,
  /** "random" keeps the shape and draws fresh weights (std 0.02), for comparison. */
  init: z.enum(["pretrained", "random"]),
});

export const runConfig = z.strictObject({
  name: z.string().min(1).max(120),
  seed: z.int().min(0).max(4_294_967_295),
  model: modelConfig,
  data: dataConfig,
  /** In the order they run; what they must be to each other is checked by `checkPipeline`. */
  stages: z.array(stageConfig).min(1).max(16),
});

export type ModelConfig = z.infer<typeof modelConfig>;
export type RunConfig = z.infer<typeof runConfig>;

/** The rows a stage works on: its own, else those of the run. */
export function dataOf(config: RunConfig, stage: StageConfig): DataConfig {
  return ("data" in stage ? stage.data : null) ?? config.data;
}

/** The first reward stage of a run, null where it has none. */
export function rewardStageOf(config: RunConfig): RewardStageConfig | null {
  return config.stages.find((stage) => stage.stage === "reward") ?? null;
}

/** The file of pairs a stage names, or null. */
export function pairsOf(stage: StageConfig): string | null {
  return "pairs" in stage ? stage.pairs : null;
}

/** The slot value that names the run's own model. */
export const BASE_SLOT = "base";
