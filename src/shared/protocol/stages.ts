/**
 * The stages of a pipeline: the only declaration of their settings, for the browser, the command line and (issue 4) the
 * remote worker. Names are those of transformers' TrainingArguments, peft's LoraConfig and trl's SFTConfig, RewardConfig,
 * PPOConfig and DPOConfig. No defaults here: `defaults.ts` fills them, so that a stored config always says everything.
 */
import { z } from "zod";

const positiveInt = z.int().min(1);

/** `bundled:NAME`, `imported:ID` (browser: a model or file the user opened), else a path (command line). */
export const reference = z.string().min(1).max(1024);

/** Name of a stage inside its pipeline. */
export const stageId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/);

/**
 * Where a stage takes a model from: "base" (the run's `model`), the id of an earlier stage, or `artefact:SHA256` of
 * something that was made before.
 */
export const modelSlot = z.string().min(1).max(120);

export const dataConfig = z.strictObject({
  /** Rows that are trained on: `sentence`, `label` (positive | negative), optional `review_id`. */
  train: reference,
  /** Rows for evaluation while training. */
  validation: reference,
  /** Rows that are looked at once, at the end. */
  test: reference.nullable(),
});

/**
 * A share of the training rows: those whose text falls into part `part` of `of` by a hash of text and seed. Two stages
 * of a run with different parts never see the same text; equal texts are always together.
 */
export const rowsConfig = z.strictObject({ part: z.int().min(0).max(99), of: positiveInt.max(100) });

export const rewardObjective = z.enum(["binary", "cross-entropy", "pairwise"]);
export const lrSchedulerType = z.enum(["cosine", "linear", "constant"]);

/** Linears that may carry an adapter, by the last part of their Hugging Face name. */
export const loraTarget = z.enum(["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h", "embed_out"]);

/** peft's LoraConfig, as far as the engine has it. The adapter's factor is lora_alpha / r. */
export const loraConfig = z.strictObject({
  r: positiveInt.max(512),
  lora_alpha: z.number().gt(0).max(4096),
  lora_dropout: z.number().min(0).lt(1),
  target_modules: z.array(loraTarget).min(1).max(5),
});

/** What AdamW and its schedule need; shared by every stage that trains. */
const optimizer = {
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
};

const intervals = {
  /** Optimizer steps (PPO: updates) between evaluations on the validation rows. */
  eval_steps: positiveInt,
  /** Optimizer steps (PPO: updates) between checkpoints. */
  save_steps: positiveInt,
  /** Optimizer steps (PPO: updates) between log events. */
  logging_steps: positiveInt,
};

const memory = {
  /** Keep only the input of each layer and compute the layer again in the backward pass: less memory, more time. */
  gradient_checkpointing: z.boolean(),
};

const epochs = {
  num_train_epochs: z.number().gt(0).max(1000),
  /** Optimizer steps; -1: as many as the epochs make. */
  max_steps: z.int().min(-1),
  gradient_accumulation_steps: positiveInt.max(256),
};

/** null trains every parameter. */
const peft = { peft: loraConfig.nullable() };

export const promptConfig = z.strictObject({
  /** What `length` counts. */
  unit: z.enum(["characters", "tokens"]),
  /** A prompt is the beginning of a text. */
  length: positiveInt.max(512),
});

export const rewardStageConfig = z.strictObject({
  stage: z.literal("reward"),
  id: stageId,
  model: modelSlot,
  /** Other rows than the pipeline's; null: the pipeline's. */
  data: dataConfig.nullable(),
  /** Only a part of the training rows (a judge that shares none with the reward model PPO sees); null: all. */
  rows: rowsConfig.nullable(),
  /**
   * binary: one logit, BCE. cross-entropy: two logits. pairwise: -logsigmoid(chosen - rejected), Bradley-Terry.
   */
  objective: rewardObjective,
  /** Pairwise only: pairs drawn from the labels (null), or a JSONL of {prompt, chosen, rejected} (imported, or votes). */
  pairs: reference.nullable(),
  ...peft,
  ...epochs,
  /** Texts a step (pairwise: pairs a step). */
  per_device_train_batch_size: positiveInt.max(512),
  ...optimizer,
  /** Tokens a text, the closing EOS included; longer texts are truncated, counted and said. */
  max_length: positiveInt.max(2048),
  ...intervals,
  ...memory,
});

export const sftStageConfig = z.strictObject({
  stage: z.literal("sft"),
  id: stageId,
  model: modelSlot,
  data: dataConfig.nullable(),
  /** Which rows: the goal of the tutorial is to write like all reviewers, PPO then makes them positive. */
  labels: z.enum(["all", "positive", "negative"]),
  /** Text of a row; holds "{sentence}" once. */
  template: z.string().min(1).max(2000),
  /** Count the loss from where "{sentence}" begins only. */
  completion_only_loss: z.boolean(),
  /** false: one text a row. bfd: rows packed by best fit, texts do not see each other. wrapped: run-on, cut at max_length. */
  packing: z.union([z.literal(false), z.enum(["bfd", "wrapped"])]),
  ...peft,
  ...epochs,
  /** Rows of max_length a step. */
  per_device_train_batch_size: positiveInt.max(512),
  ...optimizer,
  max_length: positiveInt.max(2048),
  ...intervals,
  ...memory,
  /** Texts written at every evaluation, from validation prompts. */
  sample_texts: z.int().min(0).max(64),
  prompt: promptConfig,
});

/** Folds an adapter into the weights it was trained on. */
export const mergeStageConfig = z.strictObject({
  stage: z.literal("merge"),
  id: stageId,
  /** The stage that trained the adapter. */
  adapter: modelSlot,
});

export const generationConfig = z.strictObject({
  max_new_tokens: positiveInt.max(2048),
  /** 0 is greedy. */
  temperature: z.number().min(0).max(10),
  /** 0: off. */
  top_k: z.int().min(0),
  /** 1: off. */
  top_p: z.number().gt(0).max(1),
});

export const ppoStageConfig = z.strictObject({
  stage: z.literal("ppo"),
  id: stageId,
  /** The SFT model: where the policy starts, and the reference of the KL penalty. */
  model: modelSlot,
  /** A reward stage's id or `artefact:SHA256`. */
  reward_model: modelSlot,
  data: dataConfig.nullable(),
  prompt: promptConfig,
  /** The policy's adapter; the reference is the same weights with the adapter switched off. */
  peft: loraConfig,
  /** Prompts continued in all; updates = total_episodes / rollout_batch_size. */
  total_episodes: positiveInt,
  /** Texts of one rollout. */
  rollout_batch_size: positiveInt.max(1024),
  num_ppo_epochs: positiveInt.max(64),
  num_mini_batches: positiveInt.max(64),
  /** Tokens a continuation, EOS included. */
  response_length: positiveInt.max(1024),
  temperature: z.number().gt(0).max(10),
  /** Subtracted from every reward; "auto": mean reward of as many texts of the SFT model as a rollout has, shown. */
  reward_baseline: z.union([z.number(), z.literal("auto")]),
  /** Divide rewards by their running standard deviation. */
  reward_scaling: z.boolean(),
  /** Rewards are cut to ±reward_clip after scaling; 0: off. */
  reward_clip: z.number().min(0),
  /** Subtracted from the reward of a text without EOS; null: off. */
  missing_eos_penalty: z.number().min(0).nullable(),
  kl_coef: z.number().min(0),
  kl_estimator: z.enum(["k1", "k3"]),
  /** Adapt kl_coef towards target_kl nats a text (Ziegler et al. 2019); null: fixed. */
  target_kl: z.number().gt(0).nullable(),
  /** Steps (texts) over which the adaptive coefficient moves. */
  kl_horizon: positiveInt,
  whiten_rewards: z.boolean(),
  gamma: z.number().gt(0).max(1),
  lam: z.number().min(0).max(1),
  cliprange: z.number().gt(0).max(10),
  cliprange_value: z.number().gt(0),
  vf_coef: z.number().min(0),
  ...optimizer,
  ...intervals,
  ...memory,
  sample_texts: z.int().min(0).max(64),
});

export const dpoStageConfig = z.strictObject({
  stage: z.literal("dpo"),
  id: stageId,
  model: modelSlot,
  /** JSONL of {prompt, chosen, rejected}; null: pairs drawn from the labels, with the prompt cut from the texts. */
  pairs: reference.nullable(),
  data: dataConfig.nullable(),
  prompt: promptConfig,
  peft: loraConfig,
  beta: z.number().gt(0).max(100),
  label_smoothing: z.number().min(0).lt(0.5),
  ...epochs,
  /** Pairs a step. */
  per_device_train_batch_size: positiveInt.max(512),
  ...optimizer,
  max_length: positiveInt.max(2048),
  ...intervals,
  ...memory,
  sample_texts: z.int().min(0).max(64),
});

export const evaluateStageConfig = z.strictObject({
  stage: z.literal("evaluate"),
  id: stageId,
  /** What is compared, in this order; the first is the one the others are held against. */
  models: z.array(modelSlot).min(1).max(8),
  /** The first is the one that was optimised, the others judge without having been. May be empty. */
  reward_models: z.array(modelSlot).max(4),
  data: dataConfig.nullable(),
  /** Texts whose beginnings are prompts: rows of this split, drawn with the run's seed. */
  split: z.enum(["validation", "test"]),
  num_prompts: positiveInt.max(10_000),
  prompt: promptConfig,
  generation: generationConfig,
});

export const stageConfig = z.discriminatedUnion("stage", [
  sftStageConfig,
  rewardStageConfig,
  mergeStageConfig,
  ppoStageConfig,
  dpoStageConfig,
  evaluateStageConfig,
]);

export type DataConfig = z.infer<typeof dataConfig>;
export type RowsConfig = z.infer<typeof rowsConfig>;
export type RewardObjective = z.infer<typeof rewardObjective>;
export type LrSchedulerType = z.infer<typeof lrSchedulerType>;
export type LoraTarget = z.infer<typeof loraTarget>;
export type LoraConfig = z.infer<typeof loraConfig>;
export type PromptConfig = z.infer<typeof promptConfig>;
export type GenerationConfig = z.infer<typeof generationConfig>;
export type RewardStageConfig = z.infer<typeof rewardStageConfig>;
export type SftStageConfig = z.infer<typeof sftStageConfig>;
export type MergeStageConfig = z.infer<typeof mergeStageConfig>;
export type PpoStageConfig = z.infer<typeof ppoStageConfig>;
export type DpoStageConfig = z.infer<typeof dpoStageConfig>;
export type EvaluateStageConfig = z.infer<typeof evaluateStageConfig>;
export type StageConfig = z.infer<typeof stageConfig>;
