/** The weights a stage starts from: a checkpoint's, or fresh ones of the same shape. */
import type { ModelCredit } from "../../../src/shared/credit";
import { BASE_SLOT, type RunConfig } from "../../../src/shared/protocol/config";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer";
import { type ExpectedTensor, openCheckpoint, readTokenizerFiles } from "../io/hf-model";
import { readCredit } from "../io/model-card";
import { loadAdapter } from "../io/peft";
import { type FileSource, readJson } from "../io/source";
import type { Tensors, TensorValues } from "../io/tensors";
import { mergeLora } from "../model/merge";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { drawParameters, type HeadSpec, neoxParameterShapes, SCORE } from "../model/shapes";
import { stream } from "./streams";

export interface BaseDescription {
  readonly config: NeoxConfig;
  readonly configJson: Readonly<Record<string, unknown>>;
  readonly tokenizer: Tokenizer;
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  /** Goes with everything that is made of it. */
  readonly credit: ModelCredit;
}

export interface BaseModel extends BaseDescription {
  /** By Hugging Face name; with a reward head score.weight included. Those of a file are read whenever they are used. */
  readonly tensors: Tensors;
}

/** Everything but the weights. Throws model.bad_config, model.unknown_architecture, model.bad_tokenizer. */
export async function describeBase(source: FileSource): Promise<BaseDescription> {
  const json = await readJson(source, "config.json", "model.bad_config");
  const tokenizerFiles = await readTokenizerFiles(source);
  return {
    config: parseNeoxConfig(json),
    configJson: asObject(json),
    tokenizer: await loadTokenizer(tokenizerFiles),
    tokenizerFiles,
    credit: await readCredit(source),
  };
}

/**
 * Config, tokenizer and weights as they are stored, the weights unread. Throws model.* where the checkpoint is not usable.
 * @param score whether the score head may be missing, because training draws it
 */
export async function loadWeights(
  source: FileSource,
  head: HeadSpec,
  score: "optional" | "whole" = "optional",
): Promise<BaseModel> {
  const expected = (configJson: unknown): ExpectedTensor[] =>
    [...neoxParameterShapes(parseNeoxConfig(configJson), head)].map(([name, shape]) => ({
      name,
      shape,
      optional: name === SCORE && score === "optional",
    }));
  const loaded = await openCheckpoint(source, { expected });
  return {
    config: parseNeoxConfig(loaded.configJson),
    configJson: asObject(loaded.configJson),
    tensors: loaded.tensors,
    tokenizer: await loadTokenizer(loaded.tokenizerFiles),
    tokenizerFiles: loaded.tokenizerFiles,
    credit: await readCredit(source),
  };
}

const LANGUAGE = { kind: "causal-lm" } as const;

/** A language model with an adapter folded in. Throws model.* where the two do not belong together. */
export async function loadMerged(source: FileSource, adapter: FileSource): Promise<BaseModel> {
  const base = await loadWeights(source, LANGUAGE);
  const { lora, tensors: matrices } = await loadAdapter(adapter, base.config, LANGUAGE);
  const { tensors, untied } = mergeLora(base.tensors, matrices, lora);
  if (!untied) return { ...base, tensors };
  const configJson = { ...base.configJson, tie_word_embeddings: false };
  return { ...base, tensors, configJson, config: parseNeoxConfig(configJson) };
}

export interface BaseChoice {
  /** The stage's `model`. */
  readonly slot: string;
  readonly head: HeadSpec;
  /** Folded into the weights; null: none. */
  readonly adapter: FileSource | null;
}

/**
 * What a stage starts from. Where its slot is the run's base and that has `init: "random"`, all weights are drawn with
 * the run's seed, as transformers does; a model without a score head gets one from a stream of its own, so that both
 * kinds of run start with the same head. Throws model.* where the checkpoint is not usable.
 */
export async function loadBase(
  source: FileSource,
  run: Pick<RunConfig, "seed" | "model">,
  { slot, head, adapter }: BaseChoice,
): Promise<BaseModel> {
  const loaded = adapter ? await loadMerged(source, adapter) : await loadWeights(source, head);
  const shapes = neoxParameterShapes(loaded.config, head);
  const draw = (which: "score" | "weights", wanted: (name: string) => boolean) => {
    const random = stream(run.seed, which);
    const some = new Map([...shapes].filter(([name]) => wanted(name)));
    return drawParameters(some, loaded.config.initializer_range, () => random.normal());
  };
  const drawnHead = draw("score", (name) => name === SCORE);
  const tensors =
    run.model.init === "random" && slot === BASE_SLOT
      ? new Map<string, TensorValues>([...draw("weights", (name) => name !== SCORE), ...drawnHead])
      : new Map<string, TensorValues>([...drawnHead, ...loaded.tensors]);
  for (const name of tensors.keys()) if (!shapes.has(name)) tensors.delete(name);
  return { ...loaded, tensors };
}

function asObject(json: unknown): Readonly<Record<string, unknown>> {
  // parseNeoxConfig has refused everything else.
  return typeof json === "object" && json !== null ? Object.fromEntries(Object.entries(json)) : {};
}
