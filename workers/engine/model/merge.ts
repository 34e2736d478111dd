/** Folding adapters into the weights they stand beside: W + lora_alpha / r * B A. */

import { NagiError } from "../../../src/shared/errors";
import { type LazyTensor, piecesOfTensor, type Tensors, type TensorValues } from "../io/tensors";
import { type LoraOptions, loraFactor, loraName, OUTPUT_MODULE } from "./lora";
import { EMBEDDING, OUTPUT_EMBEDDING } from "./shapes";

export interface MergedModel {
  /**
   * The base's tensors, with new ones where an adapter was; nothing of the adapters is left. The new ones are computed
   * whenever they are read: the base may still be on disk.
   */
  readonly tensors: Tensors;
  /**
   * The output matrix was tied to the input embedding and carried an adapter: it is now a tensor of its own, and
   * config.json must say `tie_word_embeddings: false`.
   */
  readonly untied: boolean;
}

/**
 * Folds adapters into a base. Sums in float64, rounded once to float32; store the result in the base's own type.
 * @param base by Hugging Face name; @param adapter by PEFT's name (also all of a trainer's state: what is not of an
 * adapter, as score.weight, replaces the base's).
 * @throws NagiError model.tensor_missing {file, tensor}, model.tensor_shape {tensor, expected, actual} where the two do
 * not belong together.
 */
export function mergeLora(base: Tensors, adapter: ReadonlyMap<string, Float32Array>, lora: LoraOptions): MergedModel {
  const tensors = new Map<string, TensorValues>(base);
  for (const [name, tensor] of adapter) if (!/\.lora_[AB]\.weight$/.test(name)) tensors.set(name, tensor);
  let untied = false;
  for (const name of adapter.keys()) {
    const module = /^base_model\.model\.(.*)\.lora_A\.weight$/.exec(name)?.[1];
    if (module === undefined) continue;
    const own = `${module}.weight`;
    const tied = module === OUTPUT_MODULE && !tensors.has(OUTPUT_EMBEDDING);
    untied ||= tied;
    const weight = take(tensors, tied ? EMBEDDING : own, "the base");
    tensors.set(own, fold(own, weight, adapter, module, lora));
  }
  return { tensors, untied };
}

function take<T>(tensors: ReadonlyMap<string, T>, name: string, file: string): T {
  const tensor = tensors.get(name);
  if (tensor) return tensor;
  throw new NagiError(
    "model.tensor_missing",
    `${file} has no tensor ${name}, which the adapter needs. Take the adapter and the model it was trained on.`,
    { file, tensor: name },
  );
}

function fold(
  name: string,
  weight: TensorValues,
  adapter: ReadonlyMap<string, Float32Array>,
  module: string,
  lora: LoraOptions,
): LazyTensor {
  const a = take(adapter, loraName(module, "A"), "the adapter");
  const b = take(adapter, loraName(module, "B"), "the adapter");
  const { r } = lora;
  const inputs = a.length / r;
  const outputs = b.length / r;
  if (inputs * outputs !== weight.length)
    throw new NagiError(
      "model.tensor_shape",
      `the adapter of ${name} is made for [${outputs}, ${inputs}], but the base has ${weight.length} values there. Take the adapter and the model it was trained on.`,
      { tensor: name, expected: String(weight.length), actual: `${outputs}, ${inputs}` },
    );
  const factor = loraFactor(lora);
  const sums = new Float64Array(inputs);
  /** `piece` holds the weight's elements from `first` on. */
  const folded = (piece: Float32Array, first: number): Float32Array => {
    const merged = new Float32Array(piece.length);
    for (let at = 0; at < piece.length; ) {
      const row = Math.floor((first + at) / inputs);
      const column = (first + at) % inputs;
      const count = Math.min(inputs - column, piece.length - at);
      for (let i = 0; i < count; i++) sums[i] = piece[at + i] ?? Number.NaN;
      for (let k = 0; k < r; k++) {
        const scale = factor * (b[row * r + k] ?? Number.NaN);
        for (let i = 0; i < count; i++) sums[i] = (sums[i] ?? 0) + scale * (a[k * inputs + column + i] ?? Number.NaN);
      }
      merged.set(sums.subarray(0, count), at);
      at += count;
    }
    return merged;
  };
  async function* pieces(): AsyncGenerator<Float32Array> {
    let first = 0;
    for await (const piece of piecesOfTensor(weight)) {
      yield folded(piece, first);
      first += piece.length;
    }
  }
  return { length: weight.length, pieces };
}
