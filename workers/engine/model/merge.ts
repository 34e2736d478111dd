/** Folding adapters into the weights they stand beside: W + lora_alpha / r * B A. */

import { NagiError } from "../../../src/shared/errors";
import { type LoraOptions, loraFactor, loraName, OUTPUT_MODULE } from "./lora";
import { EMBEDDING, OUTPUT_EMBEDDING } from "./shapes";

export interface MergedModel {
  /** The base's tensors, with new ones where an adapter was; nothing of the adapters is left. */
  readonly tensors: Map<string, Float32Array>;
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
export function mergeLora(
  base: ReadonlyMap<string, Float32Array>,
  adapter: ReadonlyMap<string, Float32Array>,
  lora: LoraOptions,
): MergedModel {
  const tensors = new Map(base);
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

function take(tensors: ReadonlyMap<string, Float32Array>, name: string, file: string): Float32Array {
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
  weight: Float32Array,
  adapter: ReadonlyMap<string, Float32Array>,
  module: string,
  lora: LoraOptions,
): Float32Array {
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
  const merged = new Float32Array(weight.length);
  const row = new Float64Array(inputs);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) row[i] = weight[o * inputs + i] ?? Number.NaN;
    for (let k = 0; k < r; k++) {
      const scale = factor * (b[o * r + k] ?? Number.NaN);
      for (let i = 0; i < inputs; i++) row[i] = (row[i] ?? 0) + scale * (a[k * inputs + i] ?? Number.NaN);
    }
    merged.set(row, o * inputs);
  }
  return merged;
}
