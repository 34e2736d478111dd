/**
 * What a stage has on the GPU at a time, as a list of what it creates in its order, from its settings and the sizes of its
 * texts. Sizes are those of the texts where they are known, else the largest that the settings allow.
 */
import type { PromptConfig, StageConfig } from "../../../src/shared/protocol/config";
import { parseTemplate } from "../data/documents";
import type { NeoxConfig } from "../model/neox-config";
import type { GeneratorOptions } from "./generator";
import { ppoLimits } from "./ppo-update";
import { type BatchLimits, MICRO_BATCH_TOKENS } from "./sampler";
import { merged, type StageShapes } from "./stage-shapes";
import {
  dpoTrainer,
  evaluatedCache,
  evaluatedTrainer,
  mergeTrainer,
  ppoTrainer,
  rewardTrainer,
  rolloutCache,
  samplesCache,
  scorerTrainer,
  sftTrainer,
} from "./stage-trainers";
import type { TrainerOptions } from "./trainer";

export type Need =
  | { readonly kind: "trainer"; readonly config: NeoxConfig; readonly options: TrainerOptions }
  /** On the weights of the trainer before it. */
  | { readonly kind: "generator"; readonly config: NeoxConfig; readonly options: GeneratorOptions }
  | { readonly kind: "reward_model"; readonly config: NeoxConfig; readonly options: TrainerOptions };

/** What is on the GPU together. */
export type Moment = readonly Need[];

/** Of a stage's texts, in tokens. What is left out is as large as the settings allow. */
export interface StageSizes {
  /** Of the largest micro-batch. */
  readonly limits?: BatchLimits;
  /** Of the longest prompt. */
  readonly prompt?: number;
  /** Evaluate: how many prompts there are. */
  readonly prompts?: number;
}

/** Tokens of a prompt: one a character at most, which a tokenizer that knows the language does not exceed. */
const promptTokens = ({ length }: PromptConfig): number => length;

/** The largest micro-batch of `texts` texts of `length` tokens each; a text (or pair) alone must fit. */
const micro = (texts: number, length: number, single = 1): BatchLimits => ({
  max_tokens: Math.max(single * length, Math.min(texts * length, MICRO_BATCH_TOKENS)),
  max_texts: texts,
});

/** Everything a stage creates on the GPU, moment by moment. */
export function needsOf(stage: StageConfig, shapes: StageShapes, seed: number, sizes: StageSizes = {}): Moment[] {
  const whole = merged(shapes.model).config;
  const positions = whole.max_position_embeddings;
  switch (stage.stage) {
    case "reward": {
      const perItem = stage.objective === "pairwise" ? 2 : 1;
      const length = Math.min(stage.max_length, positions);
      const limits = sizes.limits ?? micro(perItem * stage.per_device_train_batch_size, length, perItem);
      return [[{ kind: "trainer", config: whole, options: rewardTrainer(stage, limits, seed) }]];
    }
    case "sft": {
      const length = Math.min(stage.max_length, positions);
      const { max_tokens } = sizes.limits ?? micro(stage.per_device_train_batch_size, length);
      const before = parseTemplate(stage.template).before.length;
      return [
        [
          { kind: "trainer", config: whole, options: sftTrainer(stage, max_tokens, seed) },
          ...samples(stage.sample_texts, before + (sizes.prompt ?? promptTokens(stage.prompt)), whole),
        ],
      ];
    }
    case "dpo": {
      const length = Math.min(stage.max_length, positions);
      const limits = sizes.limits ?? micro(2 * stage.per_device_train_batch_size, length, 2);
      return [
        [
          { kind: "trainer", config: whole, options: dpoTrainer(stage, limits, seed) },
          ...samples(stage.sample_texts, sizes.prompt ?? promptTokens(stage.prompt), whole),
        ],
      ];
    }
    case "ppo": {
      const room = Math.max(1, positions - stage.response_length);
      const prompt = sizes.prompt ?? Math.min(promptTokens(stage.prompt), room);
      const limits = ppoLimits(stage, prompt, MICRO_BATCH_TOKENS);
      return [
        [
          { kind: "trainer", config: whole, options: ppoTrainer(stage, limits, seed) },
          { kind: "generator", config: whole, options: rolloutCache(stage, prompt) },
          ...shapes.reward_models.slice(0, 1).map(rewardNeed),
        ],
      ];
    }
    case "merge":
      return [
        [{ kind: "trainer", config: shapes.model.config, options: mergeTrainer(shapes.model.lora ?? undefined) }],
        [{ kind: "trainer", config: whole, options: mergeTrainer(undefined) }],
      ];
    case "evaluate": {
      const prompts = sizes.prompts ?? stage.num_prompts;
      const prompt = sizes.prompt ?? promptTokens(stage.prompt);
      const first = shapes.models[0]?.config.max_position_embeddings ?? positions;
      const max_length = Math.min(prompt + stage.generation.max_new_tokens, first);
      return [
        ...shapes.models.map(
          ({ config, lora }): Moment => [
            { kind: "trainer", config, options: evaluatedTrainer(max_length, lora ?? undefined) },
            {
              kind: "generator",
              config,
              options: evaluatedCache(prompts, max_length, Math.min(prompt, max_length - 1)),
            },
          ],
        ),
        ...shapes.reward_models.map((one): Moment => [rewardNeed(one)]),
      ];
    }
  }
}

/** The samples that a model writes while it is trained. */
function samples(texts: number, prompt: number, config: NeoxConfig): Need[] {
  return texts === 0 ? [] : [{ kind: "generator", config, options: samplesCache(texts, prompt, config) }];
}

const rewardNeed = ({ config, objective, max_length }: StageShapes["reward_models"][number]): Need => ({
  kind: "reward_model",
  config,
  options: scorerTrainer(objective, max_length),
});
