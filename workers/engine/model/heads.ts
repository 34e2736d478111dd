/** What sits on the trunk: next-token logits and their loss, or scores of texts and the three reward objectives. */

import type { RewardObjective } from "../../../src/shared/protocol/config";
import { gatherRows } from "../ops/gather-rows";
import { linear } from "../ops/linear";
import { lmLoss, lmLossLora } from "../ops/lm-loss";
import { logits, logitsLora } from "../ops/logits";
import { binaryLoss, crossEntropyLoss, pairwiseLoss } from "../ops/losses";
import { type Graph, output, type Tensor } from "../plan/record";
import { OUTPUT_MODULE } from "./lora";
import type { Parameters } from "./neox";
import type { NeoxConfig } from "./neox-config";
import { EMBEDDING, OUTPUT_EMBEDDING, SCORE } from "./shapes";

/** Rows of the score head an objective needs. */
export const LABELS: Readonly<Record<RewardObjective, 1 | 2>> = { binary: 1, "cross-entropy": 2, pairwise: 1 };

/** The matrix that turns hidden states into logits. */
export function outputEmbedding(config: NeoxConfig, parameters: Parameters): Tensor {
  return parameters.get(config.tie_word_embeddings ? EMBEDDING : OUTPUT_EMBEDDING);
}

/** Logits [R,V] of hidden states [R,H]. For looking at them: training uses lmLossHead, which never makes them. */
export function lmLogits(graph: Graph, config: NeoxConfig, parameters: Parameters, hidden: Tensor): Tensor {
  const weight = outputEmbedding(config, parameters);
  if (weight.partRows === undefined) return parameters.linear(OUTPUT_MODULE, hidden, weight);
  const side = parameters.side(OUTPUT_MODULE, hidden);
  return output(graph.apply(side ? logitsLora : logits, { h: hidden, weight, ...side }), "y");
}

/**
 * loss [1] = token_weight * sum of the NLL of `targets` i32 [R] (-100: not counted).
 * @param token_weight f32 [1], 1 / number of counted tokens of the whole optimizer step.
 */
export function lmLossHead(
  graph: Graph,
  config: NeoxConfig,
  parameters: Parameters,
  hidden: Tensor,
  inputs: { readonly targets: Tensor; readonly token_weight: Tensor },
): Tensor {
  const weight = outputEmbedding(config, parameters);
  const side = parameters.side(OUTPUT_MODULE, hidden);
  return output(graph.apply(side ? lmLossLora : lmLoss, { h: hidden, weight, ...side, ...inputs }), "loss");
}

/** Scores [B, num_labels] of the hidden states at `last_index` i32 [B]. */
export function rewardScores(graph: Graph, parameters: Parameters, hidden: Tensor, last_index: Tensor): Tensor {
  const pooled = output(graph.apply(gatherRows, { x: hidden, index: last_index }), "y");
  return output(graph.apply(linear, { x: pooled, weight: parameters.get(SCORE) }), "y");
}

/**
 * loss [1]: the weighted sum of the objective over texts (pairwise: over pairs, the first half of the scores against the
 * second).
 * @param inputs labels i32 [B] (not for pairwise); weight f32 [B] (pairwise [B/2]), 1 / count, 0 for filler.
 */
export function rewardLoss(
  graph: Graph,
  objective: RewardObjective,
  scores: Tensor,
  inputs: { readonly labels: Tensor | undefined; readonly weight: Tensor },
): Tensor {
  const { labels, weight } = inputs;
  if (objective === "pairwise") return output(graph.apply(pairwiseLoss, { scores, weight }), "loss");
  if (!labels) throw new Error(`the ${objective} objective needs labels`);
  const op = objective === "binary" ? binaryLoss : crossEntropyLoss;
  return output(graph.apply(op, { scores, labels, weight }), "loss");
}
