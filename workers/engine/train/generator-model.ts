/** A model that only writes: its weights on the GPU, frozen, with or without an adapter, and a generator on them. */

import { loadTokenizer, type Tokenizer } from "../data/tokenizer";
import type { Gpu } from "../gpu/gpu";
import { openCheckpoint } from "../io/hf-model";
import { loadAdapter } from "../io/peft";
import type { FileSource } from "../io/source";
import type { TensorValues } from "../io/tensors";
import type { CacheSize } from "../model/generate";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { ParameterStore } from "../model/params";
import { neoxParameterShapes } from "../model/shapes";
import { Generator } from "./generator";
import { layOutModel } from "./model-layout";

const HEAD = { kind: "causal-lm" } as const;

export interface WritingModel {
  readonly config: NeoxConfig;
  readonly tokenizer: Tokenizer;
  readonly generator: Generator;
  /** Frees the weights and the generator. */
  destroy(): void;
}

/**
 * Loads a language model, and an adapter for it, to generate with. Weights that are f16 on disk stay f16 where the adapter
 * of the GPU has it: nothing is rounded.
 * Rejects with model.* where the files are not usable, gpu.limit, gpu.out_of_memory.
 */
export async function openWritingModel(
  gpu: Gpu,
  model: FileSource,
  adapter: FileSource | null,
  size: CacheSize,
): Promise<WritingModel> {
  const loaded = await openCheckpoint(model, {
    expected: (json) => [...neoxParameterShapes(parseNeoxConfig(json), HEAD)].map(([name, shape]) => ({ name, shape })),
  });
  const config = parseNeoxConfig(loaded.configJson);
  const tokenizer = await loadTokenizer(loaded.tokenizerFiles);
  const side = adapter && (await loadAdapter(adapter, config, HEAD));
  const { layout } = layOutModel(gpu.capabilities, config, HEAD, {
    frozen: true,
    frozen_dtype: loaded.dtype === "F16" && gpu.capabilities.f16 ? "f16" : "f32",
    ...(side ? { lora: side.lora } : {}),
  });
  const store = ParameterStore.allocate(gpu, layout);
  await store.load("weights", new Map<string, TensorValues>([...loaded.tensors, ...(side?.tensors ?? [])]), model.name);
  const generator = await Generator.create(gpu, config, store, { ...size, adapter: side !== null });
  const destroy = () => {
    generator.destroy();
    store.destroy();
  };
  return { config, tokenizer, generator, destroy };
}
