/**
 * What a stage's models look like, from descriptions alone (config.json, adapter_config.json, the stages before it): no
 * weights are read. The preflight works on these.
 */
import { z } from "zod";
import {
  BASE_SLOT,
  type RewardStageConfig,
  type RunConfig,
  type StageConfig,
} from "../../../src/shared/protocol/config";
import { artefactOf } from "../../../src/shared/protocol/pipeline-slots";
import { parsePeftConfig, targetOf } from "../io/peft-config";
import { type FileSource, readJson } from "../io/source";
import { LABELS } from "../model/heads";
import { isTarget, type LoraOptions, loraLinears, OUTPUT_MODULE } from "../model/lora";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { REWARD_FACTS } from "./export";
import type { StageInput } from "./stage";

const HEAD = { kind: "causal-lm" } as const;

/** Bytes of a stored weight by config.json's `torch_dtype` (transformers 5: `dtype`). */
const STORED_BYTES: Readonly<Record<string, number>> = { float16: 2, bfloat16: 2, float32: 4 };

export interface ModelShape {
  readonly config: NeoxConfig;
  /** Stands beside the weights. */
  readonly lora: LoraOptions | null;
  /** Bytes of a weight on the disk. */
  readonly stored_bytes: number;
}

export interface RewardShape {
  readonly config: NeoxConfig;
  readonly objective: "binary" | "cross-entropy";
  /** Tokens of a text it judges, at most. */
  readonly max_length: number;
}

/** The models of a stage, by its slots. */
export interface StageShapes {
  /** What it trains on; merge: the adapter and its base; evaluate: the first of `models`. */
  readonly model: ModelShape;
  readonly models: readonly ModelShape[];
  readonly reward_models: readonly RewardShape[];
}

/** What a reward model of ours says about itself in config.json. */
const rewardFacts = z.object({ [REWARD_FACTS]: z.object({ threshold: z.number(), max_length: z.int().min(1) }) });

/** The facts of a reward model's config.json. Texts are cut to the length it was trained with, where it says so. */
export function rewardShape(json: unknown): RewardShape & { readonly threshold: number; readonly labels: number } {
  const config = parseNeoxConfig(json);
  const labels = config.num_labels ?? 1;
  const facts = rewardFacts.safeParse(json).data?.[REWARD_FACTS];
  const max_length = Math.min(facts?.max_length ?? Number.POSITIVE_INFINITY, config.max_position_embeddings);
  const objective = labels === 2 ? "cross-entropy" : "binary";
  return { config, labels, objective, max_length, threshold: facts?.threshold ?? 0 };
}

/** A model with its adapter folded in, as a stage that trains loads it. */
export function merged({ config, lora, stored_bytes }: ModelShape): ModelShape {
  const own = lora?.target_modules.some((target) => isTarget(OUTPUT_MODULE, target)) && config.tie_word_embeddings;
  return { config: own ? { ...config, tie_word_embeddings: false } : config, lora: null, stored_bytes };
}

/** Descriptions of a model and, where it is one, of an adapter on it. @throws model.* */
export async function readShape(model: FileSource, adapter: FileSource | null): Promise<ModelShape> {
  const json = await readJson(model, "config.json", "model.bad_config");
  const config = parseNeoxConfig(json);
  const shape = { config, lora: null, stored_bytes: storedBytes(json) };
  if (adapter === null) return shape;
  const file = "adapter_config.json";
  const peft = parsePeftConfig(await readJson(adapter, file, "model.bad_config"), file);
  const { r, lora_alpha, lora_dropout, use_rslora } = peft;
  const target_modules = [...loraLinears(config, HEAD).keys()].filter((module) => targetOf(peft, module));
  return { ...shape, lora: { r, lora_alpha, lora_dropout, target_modules, use_rslora } };
}

function storedBytes(json: unknown): number {
  const { data } = z.object({ dtype: z.string().optional(), torch_dtype: z.string().optional() }).safeParse(json);
  return STORED_BYTES[data?.dtype ?? data?.torch_dtype ?? "float32"] ?? 4;
}

/** The shapes of a stage that is about to run. @throws model.* */
export async function inputShapes(
  input: Pick<StageInput, "model" | "adapter" | "models" | "reward_models">,
): Promise<StageShapes> {
  const [model, models, reward_models] = await Promise.all([
    readShape(input.model, input.adapter),
    Promise.all(input.models.map((one) => readShape(one.model, one.adapter))),
    Promise.all(
      input.reward_models.map(async (source) => rewardShape(await readJson(source, "config.json", "model.bad_config"))),
    ),
  ]);
  return { model, models, reward_models };
}

/** Opens what a configuration names: a reference, or the id of an artefact. */
export interface ShapeSources {
  /** @throws artefact.*, model.* */
  model(id: string): Promise<{ readonly model: FileSource; readonly adapter: FileSource | null }>;
  /** @throws artefact.*, model.* */
  reward(id: string): Promise<FileSource>;
}

/** The shapes of a stage whose earlier stages may not have run yet: what those will make follows from their settings. */
export async function plannedShapes(run: RunConfig, stage: StageConfig, sources: ShapeSources): Promise<StageShapes> {
  const stageOf = (id: string) => run.stages.find((one) => one.id === id);
  const language = async (slot: string): Promise<ModelShape> => {
    const id = slot === BASE_SLOT ? run.model.model_name_or_path : artefactOf(slot);
    if (id !== null) {
      const { model, adapter } = await sources.model(id);
      return readShape(model, adapter);
    }
    const made = stageOf(slot);
    switch (made?.stage) {
      case "sft":
      case "ppo":
      case "dpo": {
        const below = merged(await language(made.model));
        return { ...below, lora: made.peft, stored_bytes: made.peft === null ? 4 : below.stored_bytes };
      }
      case "merge":
        return merged(await language(made.adapter));
      default:
        return language(BASE_SLOT);
    }
  };
  const reward = async (slot: string): Promise<RewardShape> => {
    const id = artefactOf(slot);
    if (id !== null) return rewardShape(await readJson(await sources.reward(id), "config.json", "model.bad_config"));
    const made = stageOf(slot);
    const { config } = merged(await language(made?.stage === "reward" ? made.model : BASE_SLOT));
    return made?.stage === "reward" ? plannedReward(config, made) : plannedReward(config, null);
  };
  switch (stage.stage) {
    case "sft":
    case "reward":
    case "dpo":
      return { model: await language(stage.model), models: [], reward_models: [] };
    case "merge":
      return { model: await language(stage.adapter), models: [], reward_models: [] };
    case "ppo":
      return { model: await language(stage.model), models: [], reward_models: [await reward(stage.reward_model)] };
    case "evaluate": {
      const models = await Promise.all(stage.models.map(language));
      const [first] = models;
      return {
        model: first ?? (await language(BASE_SLOT)),
        models,
        reward_models: await Promise.all(stage.reward_models.map(reward)),
      };
    }
  }
}

function plannedReward(config: NeoxConfig, stage: RewardStageConfig | null): RewardShape {
  const max_length = Math.min(stage?.max_length ?? config.max_position_embeddings, config.max_position_embeddings);
  const two = stage !== null && LABELS[stage.objective] === 2;
  return { config, objective: two ? "cross-entropy" : "binary", max_length };
}
