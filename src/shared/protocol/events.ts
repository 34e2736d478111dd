/**
 * What a run tells: one gapless sequence per run, stored as it is (metrics.jsonl, OPFS) and replayed after a reload.
 * Metric keys are those of transformers and trl. A value that is not finite travels as null.
 */
import { z } from "zod";
import { ERROR_CODES } from "../errors";

export const runState = z.enum(["queued", "preparing", "running", "paused", "finished", "stopped", "failed"]);

const base = {
  run_id: z.string().min(1),
  /** 0, 1, 2, ... without a gap. */
  seq: z.int().min(0),
  /** Milliseconds since the Unix epoch. */
  time: z.number(),
};

const metrics = z.record(z.string(), z.number().nullable());

/** What a reward model has to beat on the validation rows. */
export const baselineFigures = z.strictObject({
  /** Accuracy of predicting the more frequent training label. */
  majority_accuracy: z.number(),
  /** Of the character n-gram model. */
  ngram_accuracy: z.number(),
  ngram_auc: z.number().nullable(),
});

/** A text that a model wrote, at an evaluation of SFT, PPO or DPO. */
export const writtenText = z.strictObject({
  prompt: z.string(),
  /** The continuation. */
  text: z.string(),
  /** null where no reward model is at hand. */
  reward: z.number().nullable(),
  /** New tokens, EOS included. */
  tokens: z.int().min(0),
  /** Ended by itself, with EOS. */
  finished: z.boolean(),
});

/** Something a stage did by itself that its figures do not explain: a key of the catalogues and its placeholders. */
export const runNote = z.strictObject({
  code: z.string().min(1),
  values: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
});

/** One scored text of the validation set. */
export const scoredSample = z.strictObject({
  index: z.int().min(0),
  review_id: z.string().nullable(),
  sentence: z.string(),
  label: z.enum(["positive", "negative"]),
  /** The logit (binary, pairwise) or the difference of the two logits (cross-entropy). */
  reward: z.number().nullable(),
  truncated: z.boolean(),
});

export const errorData = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});

/** A bin of the reliability diagram: rows whose predicted probability of "positive" lies in [low, high). */
export const calibrationBin = z.strictObject({
  low: z.number(),
  high: z.number(),
  count: z.int().min(0),
  mean_predicted: z.number().nullable(),
  share_positive: z.number().nullable(),
});

export const runEvent = z.discriminatedUnion("type", [
  z.strictObject({ ...base, type: z.literal("state"), state: runState, error: errorData.nullable() }),
  /** Facts known once the data and the model are loaded. */
  z.strictObject({
    ...base,
    type: z.literal("prepared"),
    total_steps: z.int().min(1),
    steps_per_epoch: z.int().min(1),
    parameters: z.int().min(1),
    trainable_parameters: z.int().min(0),
    /** Of the stage: 0 where it reads none. */
    train_rows: z.int().min(0),
    validation_rows: z.int().min(0),
    test_rows: z.int().min(0),
    /** Texts longer than max_length, cut at the end. */
    truncated_rows: z.int().min(0),
    /** Reward stages only. */
    baselines: baselineFigures.nullable(),
    adapter: z.string(),
    /** Bytes of GPU memory the run allocates. */
    gpu_bytes: z.int().min(0),
  }),
  /** loss, learning_rate, grad_norm, epoch, num_tokens, tokens_per_second of a step. */
  z.strictObject({ ...base, type: z.literal("log"), step: z.int().min(0), metrics }),
  /** eval_loss, eval_accuracy, eval_auc, eval_mean_reward, eval_min_reward, eval_max_reward, ... */
  z.strictObject({ ...base, type: z.literal("eval"), step: z.int().min(0), metrics }),
  z.strictObject({ ...base, type: z.literal("samples"), step: z.int().min(0), texts: z.array(writtenText) }),
  z.strictObject({ ...base, type: z.literal("checkpoint"), step: z.int().min(0), bytes: z.int().min(0) }),
  /** The run went back to the checkpoint of `step`: later log and eval events of the same steps replace earlier ones. */
  z.strictObject({ ...base, type: z.literal("resumed"), step: z.int().min(0) }),
  z.strictObject({ ...base, type: z.literal("diverged"), step: z.int().min(0), metric: z.string() }),
  /** The final evaluation. */
  z.strictObject({
    ...base,
    type: z.literal("result"),
    step: z.int().min(0),
    /** test_* where test rows exist, eval_* of the last step, baselines, seconds. */
    metrics,
    /** Both empty where a stage has none. */
    calibration: z.array(calibrationBin),
    samples: z.array(scoredSample),
    notes: z.array(runNote),
  }),
]);

export type RunState = z.infer<typeof runState>;
export type RunEvent = z.infer<typeof runEvent>;
export type RunEventType = RunEvent["type"];
export type WrittenText = z.infer<typeof writtenText>;
export type RunNote = z.infer<typeof runNote>;
export type BaselineFigures = z.infer<typeof baselineFigures>;
export type ScoredSample = z.infer<typeof scoredSample>;
export type CalibrationBin = z.infer<typeof calibrationBin>;
export type Metrics = z.infer<typeof metrics>;

/** What an emitter supplies; the session adds run_id, seq and time. */
export type RunEventBody = RunEvent extends infer E
  ? E extends RunEvent
    ? Omit<E, "run_id" | "seq" | "time">
    : never
  : never;
