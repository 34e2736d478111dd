/** What a checkpoint holds beside the tensors, and whether it belongs to the run that wants to continue. */
import { z } from "zod";
import { NagiError } from "../../../src/shared/errors";
import { type RunConfig, runConfig, type StageConfig, stageConfig } from "../../../src/shared/protocol/config";
import type { JsonValue } from "../io/checkpoint";
import { baselines } from "./baselines";
import { samplerState } from "./sampler";

const common = {
  config: runConfig,
  /** The stage's id. */
  stage: z.string(),
  /** Of the training data: other rows make another run. */
  rows: z.int().min(0),
  tokens: z.int().min(0),
  progress: z.strictObject({
    step: z.int().min(0),
    num_tokens: z.int().min(0),
    computed_tokens: z.int().min(0),
    train_seconds: z.number().min(0),
    interval_loss: z.number(),
    interval_steps: z.int().min(0),
    total_loss: z.number(),
  }),
  /** Seconds in the stage so far, pauses left out. */
  seconds: z.number().min(0),
};

/** The fields of every stage's state; a stage's schema is `stageState` with its own fields. */
export type CommonState = z.infer<z.ZodObject<typeof common>>;

/** What tells training data from other training data, cheaply. */
export type Extent = Pick<CommonState, "rows" | "tokens">;

/** Structural, so that a stage's own schema fits whatever it adds. */
export interface StateSchema<T> {
  safeParse(json: unknown): z.ZodSafeParseResult<T>;
}

/** The schema of a stage's state: what all have, and its own fields. */
export const stageState = <T extends z.core.$ZodLooseShape>(own: T) => z.strictObject({ ...common, ...own });

export const rewardState = stageState({
  sampler: samplerState,
  baselines: baselines.nullable(),
  /** Reward from which on a text counts as positive: 0, for pairwise that of the last evaluation. */
  threshold: z.number(),
});
export type RewardState = z.infer<typeof rewardState>;

/** Reads the state of a checkpoint. Throws storage.corrupt {file, reason} where it is not one of such a stage. */
export function parseState<T>(schema: StateSchema<T>, json: JsonValue): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const reason = `its state is not that of such a stage: ${parsed.error.issues[0]?.message ?? ""}`;
  throw new NagiError("storage.corrupt", `The checkpoint cannot be used: ${reason}. Start the run again.`, {
    file: "checkpoint",
    reason,
  });
}

/**
 * Reads the state of a checkpoint that is to be continued from. Throws storage.corrupt, and config.invalid {file, path,
 * problem, allowed} where it belongs to another configuration or other data.
 */
export function readState<T extends CommonState>(
  schema: StateSchema<T>,
  json: JsonValue,
  run: Extent & { readonly config: RunConfig; readonly stage: StageConfig },
): T {
  const state = parseState(schema, json);
  // Parsed, so that the order of the fields is the schema's.
  const config = runConfig.parse(run.config);
  // Names and other stages may change; a path may differ in spelling only, and the rows are compared below.
  const refuse = (path: string, earlier: unknown, present: unknown): void => {
    const [before, now] = [JSON.stringify(earlier), JSON.stringify(present)];
    if (before !== now) throw differs(path, `was ${before} when the checkpoint was made and is ${now} now`, before);
  };
  for (const path of ["seed", "model"] as const) refuse(path, state.config[path], config[path]);
  const saved = state.config.stages.find(({ id }) => id === state.stage);
  refuse("stages", saved, stageConfig.parse(run.stage));
  if (state.rows !== run.rows || state.tokens !== run.tokens)
    throw differs(
      "data.train",
      `held ${state.rows} rows (${state.tokens} tokens) when the checkpoint was made and holds ${run.rows} (${run.tokens}) now`,
      run.config.data.train,
    );
  return state;
}

function differs(path: string, problem: string, allowed: string | undefined): NagiError {
  return new NagiError(
    "config.invalid",
    `The checkpoint belongs to another run: ${path} ${problem}. Resume with the same configuration, or start anew.`,
    { file: "checkpoint", path, problem, allowed: allowed ?? "" },
  );
}
