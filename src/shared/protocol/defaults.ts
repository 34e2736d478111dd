/** Defaults of a run, applied when a config is created or read from a file, never by the schema itself. */
import type { RewardStageConfig, RunConfig } from "./config";

export const DEFAULT_REWARD_STAGE: RewardStageConfig = {
  stage: "reward",
  objective: "binary",
  num_train_epochs: 3,
  max_steps: -1,
  per_device_train_batch_size: 16,
  gradient_accumulation_steps: 1,
  learning_rate: 5e-4,
  lr_scheduler_type: "cosine",
  warmup_ratio: 0.06,
  weight_decay: 0.01,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  max_grad_norm: 1,
  max_length: 256,
  eval_steps: 50,
  save_steps: 50,
  logging_steps: 1,
};

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
