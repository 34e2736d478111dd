/** Direct preference optimisation (Rafailov et al. 2023): sums of log-probabilities over texts, and the loss of pairs. */

import { dpoLoss as dpoKernel } from "../kernels/dpo-loss";
import { dpoLossBackward } from "../kernels/dpo-loss-backward";
import { textSum } from "../kernels/text-sum";
import { textSumBackward } from "../kernels/text-sum-backward";
import { type Dims, defineOp, type OpCase, step } from "./define";
import { at, size, tensor } from "./sizes";

/** Texts of different lengths, the second empty, with tokens between and behind them that belong to none. */
const someTexts: NonNullable<OpCase["inputs"]> = (dims) => {
  const [R, B] = [size(dims, "R"), size(dims, "B")];
  const edge = (b: number) => Math.floor((R * b * b) / (B * B));
  const first = Float64Array.from({ length: B }, (_, b) => edge(b));
  const end = Float64Array.from({ length: B }, (_, b) =>
    b === 1 ? edge(b) : Math.max(edge(b + 1) - (b % 2), edge(b)),
  );
  const text = new Float64Array(R).fill(-1);
  for (let b = 0; b < B; b++) text.fill(b, at(first, b), at(end, b));
  return { first, end, text };
};

/**
 * y [B] = the sum of x [R] over the tokens [first, end) of each text. first, end i32 [B]; text i32 [R]: the text a token
 * belongs to, negative for none, for the backward. Texts do not overlap.
 */
export const sumTexts = defineOp({
  name: "sumTexts",
  inputs: {
    x: { dims: ["R"] },
    text: { dims: ["R"], type: "i32" },
    first: { dims: ["B"], type: "i32" },
    end: { dims: ["B"], type: "i32" },
  },
  outputs: { y: { dims: ["B"] } },
  forward: [step(textSum, { x: "x", first: "first", end: "end", y: "y" }, { B: "B" })],
  backward: [step(textSumBackward, { text: "text", d_y: "d_y", d_x: "d_x" }, { R: "R" })],
  reference: (inputs) => {
    const [x, first, end] = [tensor(inputs, "x"), tensor(inputs, "first"), tensor(inputs, "end")];
    return {
      y: first.map((from, b) => x.subarray(from, at(end, b)).reduce((sum, value) => sum + value, 0)),
    };
  },
  cases: [
    { dims: { R: 3, B: 1 }, inputs: someTexts },
    { dims: { R: 30, B: 5 }, inputs: someTexts },
    { dims: { R: 390, B: 6 }, inputs: someTexts },
  ],
});

const softplus = (t: number) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));
const pairs = (dims: Dims) => 2 * size(dims, "P");

/**
 * loss [1] = the sum over pairs of weight * ((1 - label_smoothing) softplus(-d) + label_smoothing softplus(d)), where
 * d = beta ((chosen - its reference) - (rejected - its reference)). logps, reference [2P]: the first half chosen, the second
 * rejected; weight [P] = 1 / pairs of the whole optimizer step, 0 for filler. The reference is not differentiated.
 */
export const dpoLoss = defineOp({
  name: "dpoLoss",
  inputs: {
    weight: { dims: ["P"], differentiable: false },
    logps: { dims: [pairs] },
    reference: { dims: [pairs], differentiable: false },
  },
  outputs: { loss: { dims: [1] } },
  attributes: ["beta", "label_smoothing"],
  forward: [
    step(
      dpoKernel,
      { logps: "logps", reference: "reference", weight: "weight", loss: "loss" },
      { pairs: "P", beta: "beta", label_smoothing: "label_smoothing" },
    ),
  ],
  backward: [
    step(
      dpoLossBackward,
      { logps: "logps", reference: "reference", weight: "weight", d_loss: "d_loss", d_scores: "d_logps" },
      { pairs: "P", beta: "beta", label_smoothing: "label_smoothing" },
    ),
  ],
  reference: (inputs, dims) => {
    const [logps, reference] = [tensor(inputs, "logps"), tensor(inputs, "reference")];
    const weight = tensor(inputs, "weight");
    const [P, smoothing] = [size(dims, "P"), size(dims, "label_smoothing")];
    const moved = (i: number) => at(logps, i) - at(reference, i);
    let loss = 0;
    for (let i = 0; i < P; i++) {
      const d = size(dims, "beta") * (moved(i) - moved(P + i));
      loss += at(weight, i) * ((1 - smoothing) * softplus(-d) + smoothing * softplus(d));
    }
    return { loss: Float64Array.of(loss) };
  },
  cases: [
    { dims: { P: 1, beta: 0.1, label_smoothing: 0 } },
    { dims: { P: 67, beta: 0.5, label_smoothing: 0.1 } },
    {
      // Differences so large that exp overflows in f32.
      dims: { P: 5, beta: 2, label_smoothing: 0.2 },
      inputs: (dims, random) => ({
        logps: Float64Array.from({ length: pairs(dims) }, (_, i) => (i - 5) * 40 + random()),
      }),
    },
  ],
});
