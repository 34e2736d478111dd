/** A trained reward model as transformers loads it: GPTNeoXForSequenceClassification. */
import { NagiError } from "../../../src/shared/errors";
import type { RewardStageConfig, RunConfig } from "../../../src/shared/protocol/config";
import { decodeCheckpoint } from "../io/checkpoint";
import { saveModel } from "../io/hf-model";
import { creditFiles } from "../io/model-card";
import type { FileSource } from "../io/source";
import type { Tensors } from "../io/tensors";
import { LABELS } from "../model/heads";
import { mergeLora } from "../model/merge";
import { neoxParameterShapes } from "../model/shapes";
import { type BaseDescription, describeBase, loadBase } from "./base";
import { parseState, rewardState } from "./state";

export interface ExportInput {
  readonly config: Pick<RunConfig, "seed" | "model">;
  readonly stage: RewardStageConfig;
  /** What the stage's `model` slot names, and the adapter on it. */
  readonly model: FileSource;
  readonly adapter: FileSource | null;
  /** The bytes that RunStorage.saveCheckpoint was given. */
  readonly checkpoint: Uint8Array;
}

/**
 * Files by path: config.json, model.safetensors (float32), the tokenizer. One label gives one logit, the reward; two
 * labels are negative and positive. Rejects with storage.corrupt and model.*.
 */
export async function exportRewardModel(input: ExportInput): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const { base, tensors, threshold } = await checkpointModel(input);
  return rewardModelFiles(input.stage, { base, tensors, threshold });
}

/** The reward model that a checkpoint holds. Rejects with storage.corrupt and model.*. */
export async function checkpointModel({
  config,
  stage,
  model,
  adapter,
  checkpoint,
}: ExportInput): Promise<RewardModel> {
  const { weights, state } = await decodeCheckpoint(checkpoint, "checkpoint");
  const { threshold } = parseState(rewardState, state);
  // A checkpoint of full training holds everything; one of LoRA stands on what it started from.
  if (!stage.peft) return { base: await describeBase(model), tensors: weights, threshold };
  const head = { kind: "reward", num_labels: LABELS[stage.objective] } as const;
  const base = await loadBase(model, config, { slot: stage.model, head, adapter });
  return { base, tensors: rewardWeights(base.tensors, weights, stage), threshold };
}

/** The whole model from what it started from and what was trained. */
export function rewardWeights(
  base: Tensors,
  trained: ReadonlyMap<string, Float32Array>,
  { peft }: Pick<RewardStageConfig, "peft">,
): Tensors {
  return peft ? mergeLora(base, trained, peft).tensors : trained;
}

export interface RewardModel {
  readonly base: BaseDescription;
  /** By Hugging Face name. */
  readonly tensors: Tensors;
  /** Reward from which on a text counts as positive. */
  readonly threshold: number;
}

/** The same from the weights at hand. Rejects with model.tensor_missing, and as their source does. */
export async function rewardModelFiles(
  { objective, max_length }: RewardStageConfig,
  { base, tensors: weights, threshold }: RewardModel,
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
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
  const files = await saveModel({
    configJson: { ...base.configJson, [REWARD_FACTS]: { threshold, max_length } },
    architecture: "GPTNeoXForSequenceClassification",
    labels: num_labels === 1 ? ["reward"] : ["negative", "positive"],
    padTokenId: base.config.pad_token_id ?? base.tokenizer.padId,
    tensors,
    tokenizerFiles: base.tokenizerFiles,
  });
  const change = `Trained to score texts (objective: ${objective}).`;
  return new Map([...files, ...creditFiles({ credit: base.credit, kind: "reward_model", change })]);
}

/** Field of config.json for what transformers has no name for; transformers keeps it. */
export const REWARD_FACTS = "nagi_reward";
