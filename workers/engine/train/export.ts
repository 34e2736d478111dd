/** A trained reward model as transformers loads it: GPTNeoXForSequenceClassification. */
import { NagiError } from "../../../src/shared/errors";
import type { RewardStageConfig } from "../../../src/shared/protocol/config";
import { decodeCheckpoint } from "../io/checkpoint";
import { saveModel } from "../io/hf-model";
import type { FileSource } from "../io/source";
import { LABELS } from "../model/heads";
import { neoxParameterShapes } from "../model/shapes";
import { type BaseModel, describeBase } from "./base";
import { parseState, rewardState } from "./state";

export interface ExportInput {
  readonly stage: RewardStageConfig;
  /** The base model's folder. */
  readonly model: FileSource;
  /** The bytes that RunStorage.saveCheckpoint was given. */
  readonly checkpoint: Uint8Array;
}

/**
 * Files by path: config.json, model.safetensors (float32), the tokenizer. One label gives one logit, the reward; two
 * labels are negative and positive. Rejects with storage.corrupt and model.*.
 */
export async function exportRewardModel(input: ExportInput): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const { weights, state } = await decodeCheckpoint(input.checkpoint, "checkpoint");
  const { threshold } = parseState(rewardState, state);
  return rewardModelFiles(input.stage, { base: await describeBase(input.model), weights, threshold });
}

export interface RewardWeights {
  readonly base: Pick<BaseModel, "config" | "configJson" | "tokenizer" | "tokenizerFiles">;
  /** By Hugging Face name. */
  readonly weights: ReadonlyMap<string, Float32Array>;
  /** Reward from which on a text counts as positive. */
  readonly threshold: number;
}

/** The same from the weights at hand. Throws model.tensor_missing. */
export function rewardModelFiles(
  { objective, max_length }: RewardStageConfig,
  { base, weights, threshold }: RewardWeights,
): Map<string, Uint8Array<ArrayBuffer>> {
  const num_labels = LABELS[objective];
  const tensors = [...neoxParameterShapes(base.config, { kind: "reward", num_labels })].map(([name, shape]) => {
    const data = weights.get(name);
    if (!data)
      throw new NagiError("model.tensor_missing", `The checkpoint has no tensor ${name}. Start the run again.`, {
        file: "checkpoint",
        tensor: name,
      });
    return { name, shape, data };
  });
  return saveModel({
    configJson: { ...base.configJson, [REWARD_FACTS]: { threshold, max_length } },
    architecture: "GPTNeoXForSequenceClassification",
    labels: num_labels === 1 ? ["reward"] : ["negative", "positive"],
    padTokenId: base.config.pad_token_id ?? base.tokenizer.padId,
    tensors,
    tokenizerFiles: base.tokenizerFiles,
  });
}

/** Field of config.json for what transformers has no name for; transformers keeps it. */
export const REWARD_FACTS = "nagi_reward";
