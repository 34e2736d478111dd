/** The adapter/ folder of a verify case: its weights for the trainer, and what folding it in must give. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Dtype, toBfloat16, toHalf } from "../engine/io/dtype";
import { engineParameter, type LoadedAdapter, loadAdapter } from "../engine/io/peft";
import { type Tensors, wholeTensors } from "../engine/io/tensors";
import type { LoraOptions } from "../engine/model/lora";
import { mergeLora } from "../engine/model/merge";
import type { NeoxConfig } from "../engine/model/neox-config";
import { type HeadSpec, OUTPUT_EMBEDDING, SCORE } from "../engine/model/shapes";
import { FolderSource } from "./sources";
import { invalid } from "./verify-case";

export const GRADIENT = "grad.";
export const MERGED = "merged.";

/** The adapter of a case that is trained with LoRA; null where the folder has none. */
export async function readAdapter(
  folder: string,
  train: "full" | "lora",
  config: NeoxConfig,
  head: HeadSpec,
): Promise<LoadedAdapter | null> {
  const there = (await readdir(folder)).includes("adapter");
  if (!there) {
    if (train === "lora") throw invalid("case.json", "train", 'is "lora", but there is no folder adapter/');
    return null;
  }
  if (train === "full") throw invalid("case.json", "train", 'is "full", but there is a folder adapter/');
  return loadAdapter(new FolderSource(join(folder, "adapter"), "adapter"), config, head);
}

/** Expected numbers are made without dropout: nothing else could be compared. */
export function withoutDropout(lora: LoraOptions): LoraOptions {
  return { ...lora, lora_dropout: 0 };
}

/**
 * Whether a reward case trains its score head beside the adapters: always, unless the adapter stores no such module and
 * the expected gradients leave it out.
 */
export function trainsScore({ config }: LoadedAdapter, expected: Iterable<string>): boolean {
  const gradients = [...expected].filter((name) => name.startsWith(GRADIENT)).map(parameterOf);
  return config.modules_to_save.includes("score") || gradients.length === 0 || gradients.includes(SCORE);
}

/** The engine's name of the parameter that `grad.X` or `merged.X` is about. */
export function parameterOf(expected: string): string {
  return engineParameter(expected.replace(/^(grad|merged)\./, ""));
}

/** The merged weights by the engine's name; a tied output matrix has both names. */
export async function merge(
  base: Tensors,
  { lora, tensors }: LoadedAdapter,
  config: NeoxConfig,
): Promise<Map<string, Float32Array>> {
  const merged = await wholeTensors(mergeLora(base, tensors, lora).tensors);
  const tied = merged.get("gpt_neox.embed_in.weight");
  if (config.tie_word_embeddings && !merged.has(OUTPUT_EMBEDDING) && tied) merged.set(OUTPUT_EMBEDDING, tied);
  return merged;
}

/**
 * `ours` as it is to be compared with a weight that may have been rounded to the base's own type: where `expected` is a
 * value of that type and `ours` rounds to it, or to it within `slack`, the rounding is no deviation.
 */
export function storedAs(ours: Float32Array, expected: Float32Array, dtype: Dtype, slack = 1e-6): Float32Array {
  const bits = dtype === "F16" ? toHalf : dtype === "BF16" ? toBfloat16 : null;
  if (!bits || ours.length !== expected.length) return ours;
  return ours.map((value, i) => {
    const wanted = expected[i] ?? Number.NaN;
    const target = bits(wanted);
    const rounds = [value, value - slack, value + slack].some((near) => bits(near) === target);
    return rounds && roundsToItself(wanted, dtype) ? wanted : value;
  });
}

function roundsToItself(value: number, dtype: Dtype): boolean {
  // bfloat16 is the upper half of a float32, a half has 13 bits fewer.
  const word = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  if (dtype === "BF16") return (word & 0xffff) === 0;
  const magnitude = Math.abs(value);
  if (magnitude < 2 ** -14) return Number.isInteger(magnitude * 2 ** 24);
  return (word & 0x1fff) === 0;
}
