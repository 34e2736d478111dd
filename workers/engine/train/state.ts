/** What a reward run's checkpoint holds beside the tensors, and whether it belongs to the run that wants to continue. */
import { z } from "zod";
import { NagiError } from "../../../src/shared/errors";
import { type RunConfig, runConfig, type StageConfig, stageConfig } from "../../../src/shared/protocol/config";
import type { JsonValue } from "../io/checkpoint";
import { baselines } from "./baselines";
import { samplerState } from "./sampler";

export const rewardState = z.strictObject({
  config: runConfig,
  /** The stage's id. */
  stage: z.string(),
  /** Of the training data: other rows make another run. */
  rows: z.int().min(1),
  tokens: z.int().min(1),
  progress: z.strictObject({
    step: z.int().min(0),
    num_tokens: z.int().min(0),
    train_seconds: z.number().min(0),
    interval_loss: z.number(),
    interval_steps: z.int().min(0),
    total_loss: z.number(),
  }),
  sampler: samplerState,
  /** Seconds in the stage so far, pauses left out. */
  seconds: z.number().min(0),
  baselines,
  /** Reward from which on a text counts as positive: 0, for pairwise that of the last evaluation. */
  threshold: z.number(),
});
export type RewardState = z.infer<typeof rewardState>;

/** Reads the state of a checkpoint. Throws storage.corrupt {file, reason} where it is not one of a reward run. */
export function parseState(json: JsonValue): RewardState {
  const parsed = rewardState.safeParse(json);
  if (parsed.success) return parsed.data;
  const reason = `its state is not that of a reward run: ${parsed.error.issues[0]?.message ?? ""}`;
  throw new NagiError("storage.corrupt", `The checkpoint cannot be used: ${reason}. Start the run again.`, {
    file: "checkpoint",
    reason,
  });
}

/**
 * Reads the state of a checkpoint that is to be continued from. Throws storage.corrupt, and config.invalid {file, path,
 * problem, allowed} where it belongs to another configuration or other data.
 */
export function readState(
  json: JsonValue,
  run: { readonly config: RunConfig; readonly stage: StageConfig; readonly rows: number; readonly tokens: number },
): RewardState {
  const state = parseState(json);
  // Parsed, so that the order of the fields is the schema's.
  const config = runConfig.parse(run.config);
  // The name may change; a path may differ in spelling only, and the rows are compared below.
  const refuse = (path: string, earlier: unknown, present: unknown): void => {
    const [before, now] = [JSON.stringify(earlier), JSON.stringify(present)];
    if (before !== now) throw differs(path, `was ${before} when the checkpoint was made and is ${now} now`, before);
  };
  for (const path of ["seed", "model"] as const) refuse(path, state.config[path], config[path]);
  const saved = state.config.stages.find(({ id }) => id === state.stage);
  refuse(`the stage ${run.stage.id}`, saved, stageConfig.parse(run.stage));
  if (state.rows !== run.rows || state.tokens !== run.tokens)
    throw differs(
      "data.train",
      `held ${state.rows} rows (${state.tokens} tokens) when the checkpoint was made and holds ${run.rows} (${run.tokens}) now`,
      run.config.data.train,
    );
  return state;
}

function differs(path: string, problem: string, allowed: string): NagiError {
  return new NagiError(
    "config.invalid",
    `The checkpoint belongs to another run: ${path} ${problem}. Resume with the same configuration, or start anew.`,
    { file: "checkpoint", path, problem, allowed },
  );
}
