/**
 * What every kind of stage asks of a trainer or a generator, from its settings and the sizes of its texts. The stages
 * create theirs with these, and so does the preflight (preflight.ts), on a device that only counts.
 */
import type {
  DpoStageConfig,
  PpoStageConfig,
  RewardObjective,
  RewardStageConfig,
  SftStageConfig,
} from "../../../src/shared/protocol/config";
import type { LoraOptions } from "../model/lora";
import type { NeoxConfig } from "../model/neox-config";
import type { GeneratorOptions } from "./generator";
import { type BatchLimits, MICRO_BATCH_TOKENS } from "./sampler";
import { optimizerOf } from "./stage-run";
import type { TrainerOptions } from "./trainer";

/** Of a trainer that only runs forward. */
const NO_OPTIMIZER = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, max_grad_norm: 0 } as const;

/** Texts that an evaluation writes at a time. */
const EVALUATE_TEXTS = 64;

/** Of a forward pass of a reward model that judges. */
const SCORER = { tokens: 1024, texts: 32 } as const;

/** Validation texts that a merge compares have this many tokens at most. */
export const MERGE_TOKENS = 48;

/** New tokens of a sample that is written while training; a reader sees enough, and an evaluation is not held up. */
export const SAMPLE_TOKENS = 64;

export const rewardTrainer = (config: RewardStageConfig, limits: BatchLimits, seed: number): TrainerOptions => ({
  task: "reward",
  objective: config.objective,
  optimizer: optimizerOf(config),
  gradient_checkpointing: config.gradient_checkpointing,
  ...limits,
  ...(config.peft ? { lora: config.peft, seed } : {}),
});

/** @param max_tokens of the largest micro-batch */
export const sftTrainer = (config: SftStageConfig, max_tokens: number, seed: number): TrainerOptions => ({
  task: "causal-lm",
  optimizer: optimizerOf(config),
  gradient_checkpointing: config.gradient_checkpointing,
  max_tokens,
  max_texts: max_tokens,
  ...(config.peft ? { lora: config.peft, seed } : {}),
});

export const ppoTrainer = (config: PpoStageConfig, limits: BatchLimits, seed: number): TrainerOptions => ({
  task: "ppo",
  ppo: config,
  lora: config.peft,
  seed,
  optimizer: optimizerOf(config),
  gradient_checkpointing: config.gradient_checkpointing,
  ...limits,
});

export const dpoTrainer = (config: DpoStageConfig, limits: BatchLimits, seed: number): TrainerOptions => ({
  task: "dpo",
  dpo: config,
  lora: config.peft,
  seed,
  optimizer: optimizerOf(config),
  gradient_checkpointing: config.gradient_checkpointing,
  ...limits,
});

/** The cache PPO writes its rollouts with. @param longestPrompt in tokens */
export const rolloutCache = (config: PpoStageConfig, longestPrompt: number): GeneratorOptions => ({
  max_texts: config.rollout_batch_size,
  max_length: longestPrompt + config.response_length,
  max_prompt: longestPrompt,
  adapter: true,
});

/** The cache of samples that are written while training. @param longestPrompt in tokens */
export const samplesCache = (texts: number, longestPrompt: number, model: NeoxConfig): GeneratorOptions => ({
  max_texts: texts,
  max_length: Math.min(longestPrompt + SAMPLE_TOKENS, model.max_position_embeddings),
  max_prompt: Math.min(longestPrompt, model.max_position_embeddings - 1),
  adapter: true,
});

/** An evaluated model: it says how likely it finds texts of up to `max_length` tokens. */
export const evaluatedTrainer = (max_length: number, lora: LoraOptions | undefined): TrainerOptions => ({
  task: "dpo",
  dpo: { beta: 1, label_smoothing: 0 },
  optimizer: NO_OPTIMIZER,
  frozen: true,
  frozen_dtype: "f32",
  max_tokens: Math.max(max_length, MICRO_BATCH_TOKENS),
  max_texts: EVALUATE_TEXTS,
  ...(lora ? { lora } : {}),
});

/** The cache an evaluated model writes with: texts of up to `max_length` tokens, of which the prompt has `max_prompt`. */
export const evaluatedCache = (num_prompts: number, max_length: number, max_prompt: number): GeneratorOptions => ({
  max_texts: Math.min(EVALUATE_TEXTS, num_prompts),
  max_length,
  max_prompt,
  adapter: true,
});

/** One side of a merge's comparison. */
export const mergeTrainer = (lora: LoraOptions | undefined): TrainerOptions => ({
  task: "causal-lm",
  optimizer: NO_OPTIMIZER,
  max_tokens: MERGE_TOKENS,
  max_texts: 1,
  frozen: true,
  logits: true,
  frozen_dtype: "f32",
  ...(lora ? { lora } : {}),
});

/** A reward model that judges texts of up to `maxLength` tokens. */
export const scorerTrainer = (objective: Exclude<RewardObjective, "pairwise">, maxLength: number): TrainerOptions => ({
  task: "reward",
  objective,
  optimizer: NO_OPTIMIZER,
  frozen: true,
  max_tokens: Math.max(SCORER.tokens, maxLength),
  max_texts: SCORER.texts,
});
