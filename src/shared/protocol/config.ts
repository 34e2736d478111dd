/**
 * The configuration of a run: the only declaration, for the browser, the command line and (issue 4) the remote worker.
 * Names are those of transformers' TrainingArguments and trl's RewardConfig. No defaults here: `defaults.ts` fills them,
 * so that a stored config always says everything.
 */
import { z } from "zod";

/** `bundled:NAME`, `imported:ID` (browser: a model or file the user opened), else a path (command line). */
const reference = z.string().min(1).max(1024);

export const dataConfig = z.strictObject({
  /** Rows that are trained on: `sentence`, `label` (positive | negative), optional `review_id`. */
  train: reference,
  /** Rows for evaluation while training. */
  validation: reference,
  /** Rows that are looked at once, at the end. */
  test: reference.nullable(),
});

export const modelConfig = z.strictObject({
  model_name_or_path: reference,
  /** "random" keeps the shape and draws fresh weights (std 0.02), for comparison. */
  init: z.enum(["pretrained", "random"]),
});

export const rewardObjective = z.enum(["binary", "cross-entropy", "pairwise"]);
export const lrSchedulerType = z.enum(["cosine", "linear", "constant"]);

const positiveInt = z.int().min(1);

export const rewardStageConfig = z.strictObject({
  stage: z.literal("reward"),
  /** binary: one logit, BCE. cross-entropy: two logits. pairwise: -logsigmoid(chosen - rejected), pairs drawn from the labels. */
  objective: rewardObjective,
  num_train_epochs: z.number().gt(0).max(1000),
  /** Optimizer steps; -1: as many as the epochs make. */
  max_steps: z.int().min(-1),
  /** Texts a step (pairwise: pairs a step). */
  per_device_train_batch_size: positiveInt.max(512),
  gradient_accumulation_steps: positiveInt.max(256),
  learning_rate: z.number().gt(0).max(1),
  lr_scheduler_type: lrSchedulerType,
  /** Share of all steps with a rising learning rate. */
  warmup_ratio: z.number().min(0).lt(1),
  weight_decay: z.number().min(0).max(1),
  adam_beta1: z.number().min(0).lt(1),
  adam_beta2: z.number().min(0).lt(1),
  adam_epsilon: z.number().gt(0),
  /** Global norm; 0 switches clipping off. */
  max_grad_norm: z.number().min(0),
  /** Tokens a text, the closing EOS included; longer texts are truncated, counted and said. */
  max_length: positiveInt.max(2048),
  /** Optimizer steps between evaluations on the validation rows. */
  eval_steps: positiveInt,
  /** Optimizer steps between checkpoints. */
  save_steps: positiveInt,
  /** Optimizer steps between log events. */
  logging_steps: positiveInt,
});

export const stageConfig = z.discriminatedUnion("stage", [rewardStageConfig]);

export const runConfig = z.strictObject({
  name: z.string().min(1).max(120),
  seed: z.int().min(0).max(4_294_967_295),
  model: modelConfig,
  data: dataConfig,
  stages: z.array(stageConfig).min(1).max(1),
});

export type DataConfig = z.infer<typeof dataConfig>;
export type ModelConfig = z.infer<typeof modelConfig>;
export type RewardObjective = z.infer<typeof rewardObjective>;
export type LrSchedulerType = z.infer<typeof lrSchedulerType>;
export type RewardStageConfig = z.infer<typeof rewardStageConfig>;
export type StageConfig = z.infer<typeof stageConfig>;
export type RunConfig = z.infer<typeof runConfig>;
