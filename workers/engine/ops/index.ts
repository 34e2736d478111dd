/** Every op there is. The harness (ops.gpu.test.ts) runs over this list; an op that is not here does not exist. */

import { gelu, geluTanh, relu } from "./activations";
import { add } from "./add";
import { attention } from "./attention";
import { cacheRows } from "./cache-rows";
import { decodeAttention } from "./decode-attention";
import type { OpDefinition } from "./define";
import { dpoLoss, sumTexts } from "./dpo-loss";
import { dropout } from "./dropout";
import { embedding } from "./embedding";
import { gatherRows } from "./gather-rows";
import { layerNorm } from "./layer-norm";
import { linear, linearBias, linearBiasLora, linearLora } from "./linear";
import { lmLoss, lmLossLora } from "./lm-loss";
import { logits, logitsLora } from "./logits";
import { binaryLoss, crossEntropyLoss, pairwiseLoss } from "./losses";
import { addLosses, ppoPolicyLoss, ppoValueLoss } from "./ppo-losses";
import { rope } from "./rope";
import { sampleToken } from "./sample-token";
import { scale } from "./scale";
import { tokenLogprob, tokenLogprobLora } from "./token-logprob";

export const ops: readonly OpDefinition[] = [
  embedding,
  layerNorm,
  gelu,
  geluTanh,
  relu,
  add,
  linear,
  linearBias,
  linearLora,
  linearBiasLora,
  scale,
  dropout,
  attention,
  lmLoss,
  lmLossLora,
  logits,
  logitsLora,
  rope,
  gatherRows,
  binaryLoss,
  crossEntropyLoss,
  pairwiseLoss,
  tokenLogprob,
  tokenLogprobLora,
  ppoPolicyLoss,
  ppoValueLoss,
  addLosses,
  sumTexts,
  dpoLoss,
  cacheRows,
  decodeAttention,
  sampleToken,
];
