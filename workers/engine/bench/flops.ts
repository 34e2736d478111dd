/** What a model needs to compute, from its configuration: the yardstick of every share of peak. */

import type { NeoxConfig } from "../model/neox-config";

type Sizes = Pick<NeoxConfig, "hidden_size" | "intermediate_size" | "num_hidden_layers" | "vocab_size">;

/** Weights of all matrices that a token is multiplied with: of the layers, and of the output embedding. */
export function matrixWeights({ hidden_size: H, intermediate_size: I, num_hidden_layers: L, vocab_size: V }: Sizes): {
  readonly layers: number;
  readonly head: number;
} {
  return { layers: L * (4 * H * H + 2 * H * I), head: V * H };
}

/**
 * FLOPs of one full training step of a language model: matrix products (2 per weight and token forward, 4 backward) and
 * attention (every token against its whole text, as most implementations compute it). Recomputation does not count: it
 * is work that the model does not need.
 */
export function trainStepFlops(config: Sizes, texts: number, length: number): number {
  return 3 * forwardFlops(config, texts, length);
}

/** FLOPs of the forward pass of that step. */
export function forwardFlops(config: Sizes, texts: number, length: number): number {
  const { layers, head } = matrixWeights(config);
  const tokens = texts * length;
  const attention = config.num_hidden_layers * 2 * 2 * tokens * length * config.hidden_size;
  return 2 * (layers + head) * tokens + attention;
}
