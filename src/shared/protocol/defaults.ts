/** Defaults of runs and stages, applied when a config is created or read from a file, never by the schema itself. */
import {
  BASE_SLOT,
  type DpoStageConfig,
  type EvaluateStageConfig,
  type LoraConfig,
  type MergeStageConfig,
  type PpoStageConfig,
  type RewardStageConfig,
  type RunConfig,
  type SftStageConfig,
  type StageConfig,
} from "./config";
import { outputOf } from "./pipeline-slots";

export const DEFAULT_LORA: LoraConfig = {
  r: 16,
  lora_alpha: 32,
  lora_dropout: 0,
  target_modules: ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
};

const ADAMW = {
  lr_scheduler_type: "cosine",
  warmup_ratio: 0.06,
  weight_decay: 0.01,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  max_grad_norm: 1,
} as const;

const EPOCHS = { num_train_epochs: 3, max_steps: -1, gradient_accumulation_steps: 1 };

/** The walk-through's prompts: the first characters of a review, too few to decide what it will say. */
const PROMPT = { unit: "characters", length: 5 } as const;

export const DEFAULT_REWARD_STAGE: RewardStageConfig = {
  stage: "reward",
  id: "reward",
  model: BASE_SLOT,
  data: null,
  rows: null,
  objective: "binary",
  pairs: null,
  peft: null,
  ...EPOCHS,
  per_device_train_batch_size: 16,
  learning_rate: 5e-4,
  ...ADAMW,
  max_length: 256,
  eval_steps: 50,
  save_steps: 50,
  logging_steps: 1,
  gradient_checkpointing: false,
};

export const DEFAULT_SFT_STAGE: SftStageConfig = {
  stage: "sft",
  id: "sft",
  model: BASE_SLOT,
  data: null,
  labels: "all",
  template: "{sentence}",
  completion_only_loss: false,
  packing: "bfd",
  peft: DEFAULT_LORA,
  ...EPOCHS,
  per_device_train_batch_size: 8,
  learning_rate: 2e-3,
  ...ADAMW,
  max_length: 256,
  eval_steps: 50,
  save_steps: 50,
  logging_steps: 1,
  gradient_checkpointing: false,
  sample_texts: 4,
  prompt: PROMPT,
};

export const DEFAULT_MERGE_STAGE: MergeStageConfig = { stage: "merge", id: "merge", adapter: "sft" };

export const DEFAULT_PPO_STAGE: PpoStageConfig = {
  stage: "ppo",
  id: "ppo",
  model: BASE_SLOT,
  reward_model: "reward",
  data: null,
  prompt: PROMPT,
  peft: DEFAULT_LORA,
  total_episodes: 3072,
  rollout_batch_size: 64,
  num_ppo_epochs: 4,
  num_mini_batches: 2,
  response_length: 48,
  temperature: 1,
  reward_baseline: "auto",
  reward_scaling: false,
  reward_clip: 0,
  missing_eos_penalty: 1,
  kl_coef: 0.2,
  kl_estimator: "k1",
  target_kl: 6,
  kl_horizon: 2000,
  whiten_rewards: false,
  gamma: 1,
  lam: 0.95,
  cliprange: 0.2,
  cliprange_value: 0.2,
  vf_coef: 0.1,
  learning_rate: 1e-3,
  ...ADAMW,
  lr_scheduler_type: "linear",
  weight_decay: 0,
  eval_steps: 12,
  save_steps: 12,
  logging_steps: 1,
  gradient_checkpointing: false,
  sample_texts: 4,
};

export const DEFAULT_DPO_STAGE: DpoStageConfig = {
  stage: "dpo",
  id: "dpo",
  model: BASE_SLOT,
  pairs: null,
  data: null,
  prompt: PROMPT,
  peft: DEFAULT_LORA,
  beta: 0.1,
  label_smoothing: 0,
  ...EPOCHS,
  num_train_epochs: 1,
  per_device_train_batch_size: 8,
  learning_rate: 5e-4,
  ...ADAMW,
  weight_decay: 0,
  max_length: 128,
  eval_steps: 50,
  save_steps: 50,
  logging_steps: 1,
  gradient_checkpointing: false,
  sample_texts: 4,
};

export const DEFAULT_EVALUATE_STAGE: EvaluateStageConfig = {
  stage: "evaluate",
  id: "evaluate",
  models: [BASE_SLOT],
  reward_models: [],
  data: null,
  split: "test",
  num_prompts: 128,
  prompt: PROMPT,
  generation: { max_new_tokens: 48, temperature: 1, top_k: 0, top_p: 1 },
};

/** An id nobody has yet: "reward", "reward-2", ... */
function freeId(kind: string, earlier: readonly StageConfig[]): string {
  const taken = new Set(earlier.map(({ id }) => id));
  for (let number = 1; ; number++) {
    const id = number === 1 ? kind : `${kind}-${number}`;
    if (!taken.has(id)) return id;
  }
}

/**
 * A stage as it is added after `earlier` ones: with a free id, and slots that take the newest fitting results. Where
 * none fits a slot names what usually stands there, and `checkPipeline` says that it is missing.
 */
export function defaultStage(kind: StageConfig["stage"], earlier: readonly StageConfig[]): StageConfig {
  const id = freeId(kind, earlier);
  const of = (output: ReturnType<typeof outputOf>) => earlier.filter((stage) => outputOf(stage) === output);
  const model = of("model").at(-1)?.id ?? BASE_SLOT;
  const rewards = of("reward_model").map((stage) => stage.id);
  switch (kind) {
    case "sft":
      return { ...DEFAULT_SFT_STAGE, id };
    case "reward":
      return { ...DEFAULT_REWARD_STAGE, id };
    case "merge":
      return { ...DEFAULT_MERGE_STAGE, id, adapter: of("adapter").at(-1)?.id ?? DEFAULT_MERGE_STAGE.adapter };
    case "ppo":
      return { ...DEFAULT_PPO_STAGE, id, model, reward_model: rewards[0] ?? DEFAULT_PPO_STAGE.reward_model };
    case "dpo":
      return { ...DEFAULT_DPO_STAGE, id, model };
    case "evaluate": {
      const tuned = of("adapter").filter((stage) => stage.stage === "ppo" || stage.stage === "dpo");
      const models = [model, ...tuned.map((stage) => stage.id)].slice(0, 8);
      return { ...DEFAULT_EVALUATE_STAGE, id, models, reward_models: rewards.slice(0, 4) };
    }
  }
}

export const DEFAULT_RUN: RunConfig = {
  name: "reward",
  seed: 0,
  model: { model_name_or_path: "bundled:nagi-base", init: "pretrained" },
  data: {
    train: "bundled:reviews-ja/train",
    validation: "bundled:reviews-ja/validation",
    test: "bundled:reviews-ja/test",
  },
  stages: [DEFAULT_REWARD_STAGE],
};

/** Enough to see it work, in less than 20 minutes on two cores without a GPU: docs/tutorial-results.md. */
const TUTORIAL = {
  sft: { num_train_epochs: 1, max_steps: 32, eval_steps: 16, save_steps: 16 },
  reward: { num_train_epochs: 1, eval_steps: 70, save_steps: 70, logging_steps: 2 },
  // Texts enough to have people rate the checkpoints.
  ppo: { total_episodes: 1024, eval_steps: 4, save_steps: 4, sample_texts: 32 },
};

/** Starting points of a pipeline, by the name in the studio's catalogue. */
export const TEMPLATES = {
  /** The tutorial. The judge learns from rows that the reward model PPO sees does not know. */
  "positive-reviews": {
    ...DEFAULT_RUN,
    name: "positive-reviews",
    stages: [
      { ...DEFAULT_SFT_STAGE, ...TUTORIAL.sft },
      { ...DEFAULT_REWARD_STAGE, ...TUTORIAL.reward, rows: { part: 0, of: 2 } },
      { ...DEFAULT_REWARD_STAGE, ...TUTORIAL.reward, id: "judge", rows: { part: 1, of: 2 } },
      { ...DEFAULT_MERGE_STAGE, adapter: "sft" },
      { ...DEFAULT_PPO_STAGE, ...TUTORIAL.ppo, model: "merge", reward_model: "reward" },
      { ...DEFAULT_EVALUATE_STAGE, models: ["merge", "ppo"], reward_models: ["reward", "judge"] },
    ],
  },
  "reward-only": DEFAULT_RUN,
  "sft-only": { ...DEFAULT_RUN, name: "sft", stages: [DEFAULT_SFT_STAGE] },
  "dpo-from-votes": {
    ...DEFAULT_RUN,
    name: "dpo-from-votes",
    stages: [
      DEFAULT_SFT_STAGE,
      { ...DEFAULT_MERGE_STAGE, adapter: "sft" },
      { ...DEFAULT_DPO_STAGE, model: "merge" },
      { ...DEFAULT_EVALUATE_STAGE, models: ["merge", "dpo"] },
    ],
  },
} as const satisfies Readonly<Record<string, RunConfig>>;

export type TemplateName = keyof typeof TEMPLATES;
