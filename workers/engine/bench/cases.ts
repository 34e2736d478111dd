/** The models and batches that are measured: the same for us and for the peers. */

import { Random } from "../../../src/shared/stats/random";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { drawParameters, neoxParameterShapes } from "../model/shapes";
import type { AdamWOptions } from "../optim/adamw";

export interface StepCase {
  readonly name: "h128x4" | "h256x6";
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly vocab_size: number;
  readonly texts: number;
  /** Tokens a text. */
  readonly length: number;
}

export const H128: StepCase = {
  name: "h128x4",
  hidden_size: 128,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  vocab_size: 4096,
  texts: 8,
  length: 64,
};

export const H256: StepCase = {
  name: "h256x6",
  hidden_size: 256,
  num_hidden_layers: 6,
  num_attention_heads: 4,
  vocab_size: 8192,
  texts: 8,
  length: 128,
};

/** AdamW as all contenders run it: no clipping, decay on every tensor. */
export const ADAMW: AdamWOptions = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, max_grad_norm: 0 };
export const LEARNING_RATE = 1e-3;

/** config.json of a case: OpenCALM's wiring (residuals one after the other, all of a head rotates, erf GELU). */
export function stepConfig(bench: StepCase): Record<string, unknown> {
  const { hidden_size, num_hidden_layers, num_attention_heads, vocab_size, length } = bench;
  return {
    architectures: ["GPTNeoXForCausalLM"],
    model_type: "gpt_neox",
    hidden_size,
    num_hidden_layers,
    num_attention_heads,
    vocab_size,
    intermediate_size: 4 * hidden_size,
    hidden_act: "gelu",
    layer_norm_eps: 1e-5,
    max_position_embeddings: length,
    rotary_pct: 1,
    rotary_emb_base: 10_000,
    use_parallel_residual: false,
    attention_bias: true,
    tie_word_embeddings: false,
    initializer_range: 0.02,
  };
}

export interface StepInput {
  readonly config: NeoxConfig;
  /** Name on disk -> weights, row-major. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** texts x length token ids. */
  readonly texts: readonly (readonly number[])[];
}

/** Random weights and tokens of a case; equal on every call. */
export function stepInput(bench: StepCase): StepInput {
  const config = parseNeoxConfig(stepConfig(bench), bench.name);
  const random = Random.seeded(0);
  const shapes = neoxParameterShapes(config, { kind: "causal-lm" });
  const tensors = drawParameters(shapes, config.initializer_range, () => random.normal());
  const texts = Array.from({ length: bench.texts }, () =>
    Array.from({ length: bench.length }, () => random.below(bench.vocab_size)),
  );
  return { config, tensors, shapes, texts };
}
