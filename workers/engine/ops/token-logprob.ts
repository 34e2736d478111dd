import { tokenLogprobChunk } from "../kernels/token-logprob-chunk";
import { tokenLogprobFinal } from "../kernels/token-logprob-final";
import { tokenLogprobGradient } from "../kernels/token-logprob-gradient";
import { type Dims, defineOp, type OpCase, type OpDefinition, step } from "./define";
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

const scale = (dims: Dims) => 1 / size(dims, "temperature");

function defineTokenLogprob(name: string, lora: boolean, cases: readonly OpCase[]): OpDefinition {
  return defineOp({
    name,
    inputs: {
      h: { dims: ["R", "H"] },
      weight: { dims: ["V", "H"] },
      ...(lora ? sideInputs : {}),
      targets: { dims: ["R"], type: "i32" },
    },
    outputs: { logprob: { dims: ["R"] }, entropy: { dims: ["R"], differentiable: false }, lse: { dims: ["R"] } },
    saved: ["lse"],
    attributes: ["temperature"],
    scratch: { logits: { dims: ["R", chunkLength] }, running: { dims: ["R", 4] } },
    forward: [
      ...chunks.flatMap((chunk) => [
        ...chunkLogits(chunk, lora),
        step(
          tokenLogprobChunk,
          { logits: "logits", targets: "targets", running: "running" },
          { R: "R", N: length(chunk), first: first(chunk), scale },
          { overrides: { START: chunk === 0 ? 1 : 0 }, ...ofChunk(chunk, ["logits"]) },
        ),
      ]),
      step(
        tokenLogprobFinal,
        { running: "running", targets: "targets", logprob: "logprob", entropy: "entropy", lse: "lse" },
        { R: "R" },
      ),
    ],
    backward: chunks.flatMap((chunk) => [
      ...chunkLogitsAgain(chunk, lora),
      step(
        tokenLogprobGradient,
        { lse: "lse", targets: "targets", d_logprob: "d_logprob", logits: "logits" },
        { R: "R", N: length(chunk), first: first(chunk), scale },
        ofChunk(chunk, ["logits"]),
      ),
      ...chunkGradients(chunk, lora),
    ]),
    reference: (inputs, dims) => {
      const targets = tensor(inputs, "targets");
      const R = size(dims, "R");
      const [logprob, entropy] = [new Float64Array(R), new Float64Array(R)];
      for (let r = 0; r < R; r++) {
        if (at(targets, r) < 0) continue;
        const logits = rowLogits(inputs, dims, r).map((logit) => logit * scale(dims));
        const lse = logSumExp(logits);
        logprob[r] = at(logits, at(targets, r)) - lse;
        entropy[r] = logits.reduce((sum, logit) => sum - Math.exp(logit - lse) * (logit - lse), 0);
      }
      return { logprob, entropy };
    },
    cases,
  });
}

/**
 * Log-probability of chosen tokens without large logits in memory: logprob [R] = log softmax(h · weightᵀ / temperature) at
 * `targets`, and the entropy [R] of that distribution (nats), which has no gradient. h [R, H], weight [V, H] (f32 or,
 * frozen, f16), targets i32 [R] (already shifted; negative: both are 0). Saves lse [R].
 *
 * The vocabulary is walked in chunks; the backward recomputes each chunk's logits and turns them into their gradient in
 * place. The order is fixed, so the same seed gives the same bits.
 */
export const tokenLogprob = defineTokenLogprob("tokenLogprob", false, [
  { dims: { R: 7, H: 5, V: 11, temperature: 1 }, inputs: someTargets },
  { dims: { R: 1, H: 1, V: 2, temperature: 0.7 }, inputs: someTargets },
  { dims: { R: 5, H: 3, V: 300, temperature: 1.3, chunk: 128 }, inputs: someTargets },
  { dims: { R: 34, H: 8, V: 132, temperature: 1, chunk: 128 }, inputs: someTargets },
  { dims: { R: 67, H: 12, V: 259, temperature: 0.5, chunk: 128 }, inputs: someTargets },
  { dims: { R: 3, H: 12, V: 140, temperature: 1 }, inputs: someTargets, elements: { weight: "f16" } },
  {
    // Logits of several hundred: exp without the maximum subtracted would overflow. Row 3 has ordinary ones: it sets the
    // scale of the entropies, which are tiny in the others.
    dims: { R: 4, H: 3, V: 130, temperature: 1, chunk: 128 },
    inputs: (dims, random) => ({
      ...someTargets(dims, random),
      h: Float64Array.from(
        { length: size(dims, "R") * size(dims, "H") },
        (_, i) => (i < 3 * size(dims, "H") ? 200 : 1) * (random() - 0.5),
      ),
    }),
  },
]);

/** As `tokenLogprob` with a LoRA side branch of the output matrix: logits = h · weightᵀ + z · lora_bᵀ. z [R, K]. */
export const tokenLogprobLora = defineTokenLogprob("tokenLogprobLora", true, [
  { dims: { R: 7, H: 5, V: 11, K: 3, temperature: 1.3 }, inputs: someTargets },
  { dims: { R: 67, H: 12, V: 259, K: 5, temperature: 0.5, chunk: 128 }, inputs: someTargets },
  { dims: { R: 34, H: 8, V: 132, K: 4, temperature: 1, chunk: 128 }, inputs: someTargets, elements: { weight: "f16" } },
]);
