import { lmLossChunk } from "../kernels/lm-loss-chunk";
import { lmLossGradient } from "../kernels/lm-loss-gradient";
import { lmLossTotal } from "../kernels/lm-loss-total";
import { defineOp, type OpCase, type OpDefinition, step } from "./define";
import { at, size, tensor } from "./sizes";
import {
  chunkGradients,
  chunkLength,
  chunkLogits,
  chunkLogitsAgain,
  chunks,
  first,
  length,
  logSumExp,
  ofChunk,
  rowLogits,
  sideInputs,
  someTargets,
} from "./vocabulary-chunks";

const targets: NonNullable<OpCase["inputs"]> = (dims, random) => ({
  ...someTargets(dims, random),
  token_weight: Float64Array.of(0.125),
});

function defineLmLoss(name: string, lora: boolean, cases: readonly OpCase[]): OpDefinition {
  return defineOp({
    name,
    inputs: {
      h: { dims: ["R", "H"] },
      weight: { dims: ["V", "H"] },
      ...(lora ? sideInputs : {}),
      targets: { dims: ["R"], type: "i32" },
      token_weight: { dims: [1], differentiable: false },
    },
    outputs: { loss: { dims: [1] }, lse: { dims: ["R"] } },
    saved: ["lse"],
    scratch: { logits: { dims: ["R", chunkLength] }, running: { dims: ["R", 3] } },
    forward: [
      ...chunks.flatMap((chunk) => [
        ...chunkLogits(chunk, lora),
        step(
          lmLossChunk,
          { logits: "logits", targets: "targets", running: "running" },
          { R: "R", N: length(chunk), first: first(chunk) },
          { overrides: { START: chunk === 0 ? 1 : 0 }, ...ofChunk(chunk, ["logits"]) },
        ),
      ]),
      step(
        lmLossTotal,
        { running: "running", targets: "targets", token_weight: "token_weight", lse: "lse", loss: "loss" },
        { R: "R" },
      ),
    ],
    backward: chunks.flatMap((chunk) => [
      ...chunkLogitsAgain(chunk, lora),
      step(
        lmLossGradient,
        { lse: "lse", targets: "targets", token_weight: "token_weight", d_loss: "d_loss", logits: "logits" },
        { R: "R", N: length(chunk), first: first(chunk) },
        ofChunk(chunk, ["logits"]),
      ),
      ...chunkGradients(chunk, lora),
    ]),
    reference: (inputs, dims) => {
      const target = tensor(inputs, "targets");
      const R = size(dims, "R");
      const lse = new Float64Array(R);
      let loss = 0;
      for (let r = 0; r < R; r++) {
        const logits = rowLogits(inputs, dims, r);
        lse[r] = logSumExp(logits);
        const label = at(target, r);
        if (label >= 0) loss += at(lse, r) - (logits[label] ?? Number.NaN);
      }
      return { loss: Float64Array.of(loss * at(tensor(inputs, "token_weight"), 0)), lse };
    },
    cases,
  });
}

/**
 * Next-token loss without large logits in memory: loss [1] = token_weight * sum over rows with a target of
 * (logsumexp(h · weightᵀ) - the target's logit). h [R, H], weight [V, H] (f32 or, frozen, f16), targets i32 [R] (already
 * shifted; negative: ignored), token_weight [1] = 1 / number of counted tokens in the whole optimizer step. Saves
 * lse [R].
 *
 * The vocabulary is walked in chunks; the backward recomputes each chunk's logits and turns them into their gradient in
 * place. The order is fixed, so the same seed gives the same bits.
 */
export const lmLoss = defineLmLoss("lmLoss", false, [
  { dims: { R: 7, H: 5, V: 11 }, inputs: targets },
  { dims: { R: 1, H: 1, V: 2 }, inputs: targets },
  { dims: { R: 5, H: 3, V: 300, chunk: 128 }, inputs: targets },
  { dims: { R: 34, H: 8, V: 132, chunk: 128 }, inputs: targets },
  { dims: { R: 67, H: 12, V: 259, chunk: 128 }, inputs: targets },
  { dims: { R: 3, H: 12, V: 140 }, inputs: targets, elements: { weight: "f16" } },
  { dims: { R: 6, H: 7, V: 203, part: 128 }, inputs: targets },
  {
    // Logits of several hundred: exp without the maximum subtracted would overflow.
    dims: { R: 4, H: 3, V: 130, chunk: 128 },
    inputs: (dims, random) => ({
      ...targets(dims, random),
      h: Float64Array.from({ length: size(dims, "R") * size(dims, "H") }, () => 200 * (random() - 0.5)),
    }),
  },
]);

/** As `lmLoss` with a LoRA side branch of the output matrix: logits = h · weightᵀ + z · lora_bᵀ. z [R, K], lora_b [V, K]. */
export const lmLossLora = defineLmLoss("lmLossLora", true, [
  { dims: { R: 7, H: 5, V: 11, K: 3 }, inputs: targets },
  { dims: { R: 2, H: 1, V: 2, K: 1 }, inputs: targets },
  { dims: { R: 67, H: 12, V: 259, K: 5, chunk: 128 }, inputs: targets },
  { dims: { R: 34, H: 8, V: 132, K: 4, chunk: 128 }, inputs: targets, elements: { weight: "f16" } },
]);
