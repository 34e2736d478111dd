/** Every op there is. The harness (ops.gpu.test.ts) runs over this list; an op that is not here does not exist. */

import { gelu, geluTanh, relu } from "./activations";
import { add } from "./add";
import { attention } from "./attention";
import type { OpDefinition } from "./define";
import { dpoLoss, sumTexts } from "./dpo-loss";
import { embedding } from "./embedding";
import { gatherRows } from "./gather-rows";
import { layerNorm } from "./layer-norm";
import { linear, linearBias } from "./linear";
import { lmLoss } from "./lm-loss";
import { binaryLoss, crossEntropyLoss, pairwiseLoss } from "./losses";
import { addLosses, ppoPolicyLoss, ppoValueLoss } from "./ppo-losses";
import { rope } from "./rope";
import { tokenLogprob } from "./token-logprob";

export const ops: readonly OpDefinition[] = [
  embedding,
  layerNorm,
  gelu,
  geluTanh,
  relu,
  add,
  linear,
  linearBias,
  attention,
  lmLoss,
  rope,
  gatherRows,
  binaryLoss,
  crossEntropyLoss,
  pairwiseLoss,
  tokenLogprob,
  ppoPolicyLoss,
  ppoValueLoss,
  addLosses,
  sumTexts,
  dpoLoss,
];
