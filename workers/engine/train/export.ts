/** The trained model as transformers loads it: GPTNeoXForSequenceClassification. */
import { NagiError } from "../../../src/shared/errors";
import type { RewardStageConfig } from "../../../src/shared/protocol/config";
import { loadTokenizer } from "../data/tokenizer";
import { decodeCheckpoint } from "../io/checkpoint";
import { readTokenizerFiles, saveModel } from "../io/hf-model";
import { type FileSource, readJson } from "../io/source";
import { LABELS } from "../model/heads";
import { parseNeoxConfig } from "../model/neox-config";
import { neoxParameterShapes } from "../model/shapes";

export interface ExportInput {
  readonly stage: Pick<RewardStageConfig, "objective">;
  /** The base model's folder. */
  readonly model: FileSource;
  /** The bytes that RunStorage.saveCheckpoint was given. */
  readonly checkpoint: Uint8Array;
}

/**
 * Files by path: config.json, model.safetensors (float32), the tokenizer. One label gives one logit, the reward; two
 * labels are negative and positive. Rejects with storage.corrupt and model.*.
 */
export async function exportRewardModel({
  stage,
  model,
  checkpoint,
}: ExportInput): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const { weights } = await decodeCheckpoint(checkpoint, "checkpoint");
  const configJson = await readJson(model, "config.json", "model.bad_config");
  const neox = parseNeoxConfig(configJson);
  const num_labels = LABELS[stage.objective];
  const tensors = [...neoxParameterShapes(neox, { kind: "reward", num_labels })].map(([name, shape]) => {
    const data = weights.get(name);
    if (!data)
      throw new NagiError("model.tensor_missing", `The checkpoint has no tensor ${name}. Start the run again.`, {
        file: "checkpoint",
        tensor: name,
      });
    return { name, shape, data };
  });
  const tokenizerFiles = await readTokenizerFiles(model);
  const { padId } = await loadTokenizer(tokenizerFiles);
  return saveModel({
    configJson: Object.fromEntries(Object.entries(configJson ?? {})),
    architecture: "GPTNeoXForSequenceClassification",
    labels: num_labels === 1 ? ["reward"] : ["negative", "positive"],
    padTokenId: neox.pad_token_id ?? padId,
    tensors,
    tokenizerFiles,
  });
}
