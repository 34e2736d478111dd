/** The weights a reward run starts from: a checkpoint's, or fresh ones of the same shape. */
import {
  BASE_SLOT,
  type RewardObjective,
  type RewardStageConfig,
  type RunConfig,
} from "../../../src/shared/protocol/config";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer";
import { type ExpectedTensor, loadModel } from "../io/hf-model";
import type { FileSource } from "../io/source";
import { LABELS } from "../model/heads";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { drawParameters, neoxParameterShapes, SCORE } from "../model/shapes";
import { stream } from "./streams";

export interface BaseModel {
  readonly config: NeoxConfig;
  readonly configJson: Readonly<Record<string, unknown>>;
  /** By Hugging Face name, score.weight included. */
  readonly tensors: Map<string, Float32Array>;
  readonly tokenizer: Tokenizer;
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
}

function parameterShapes(configJson: unknown, objective: RewardObjective): Map<string, readonly number[]> {
  return neoxParameterShapes(parseNeoxConfig(configJson), { kind: "reward", num_labels: LABELS[objective] });
}

/**
 * Loads config, tokenizer and weights. `init: "random"` draws all weights with the run's seed, as transformers does;
 * a base without a score head gets one from a stream of its own, so that both kinds of run start with the same head.
 * Throws model.* where the checkpoint is not usable.
 */
export async function loadBase(
  source: FileSource,
  run: Pick<RunConfig, "seed" | "model">,
  stage: Pick<RewardStageConfig, "objective" | "model">,
): Promise<BaseModel> {
  const { objective } = stage;
  const expected = (configJson: unknown): ExpectedTensor[] =>
    [...parameterShapes(configJson, objective)].map(([name, shape]) => ({ name, shape, optional: name === SCORE }));
  const loaded = await loadModel(source, { expected });
  const config = parseNeoxConfig(loaded.configJson);
  const shapes = parameterShapes(loaded.configJson, objective);
  const head = new Map([...shapes].filter(([name]) => name === SCORE));
  const trunk = new Map([...shapes].filter(([name]) => name !== SCORE));
  const draw = (which: "score" | "weights", of: typeof shapes) => {
    const random = stream(run.seed, which);
    return drawParameters(of, config.initializer_range, () => random.normal());
  };
  const drawnHead = draw("score", head);
  const tensors =
    run.model.init === "random" && stage.model === BASE_SLOT
      ? new Map([...draw("weights", trunk), ...drawnHead])
      : new Map([...drawnHead, ...loaded.tensors]);
  return {
    config,
    configJson: asObject(loaded.configJson),
    tensors,
    tokenizer: await loadTokenizer(loaded.tokenizerFiles),
    tokenizerFiles: loaded.tokenizerFiles,
  };
}

function asObject(json: unknown): Readonly<Record<string, unknown>> {
  // parseNeoxConfig has refused everything else.
  return typeof json === "object" && json !== null ? Object.fromEntries(Object.entries(json)) : {};
}
