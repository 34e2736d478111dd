/**
 * The three objectives of a reward model. Weights carry 1 / (texts of the whole optimizer step), so that sums over
 * micro-batches are means, and 0 for filler; they are data, not differentiated.
 */

import { labelLoss } from "../kernels/label-loss";
import { labelLossBackward } from "../kernels/label-loss-backward";
import { pairwiseLoss as pairwiseKernel } from "../kernels/pairwise-loss";
import { pairwiseLossBackward } from "../kernels/pairwise-loss-backward";
import { defineOp, type OpCase, type OpDefinition, step } from "./define";
import { at, size, tensor } from "./sizes";

const softplus = (t: number) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));

const random01: NonNullable<OpCase["inputs"]> = (dims, random) => ({
  labels: Float64Array.from({ length: size(dims, "B") }, () => (random() < 0.5 ? 1 : 0)),
});

/** Scores so far out that exp overflows in f32; the losses run from 0 to 200. */
const extreme: NonNullable<OpCase["inputs"]> = (dims, random) => ({
  ...random01(dims, random),
  scores: Float64Array.from({ length: size(dims, "B") * size(dims, "L") }, (_, i) => (i - 2) * 50 + random()),
});

function labelLossOp(name: string, L: 1 | 2, t: (scores: readonly number[], label: number) => number): OpDefinition {
  // L as a literal in the specs, but as a dim for the cases' generators.
  const withL =
    (inputs: NonNullable<OpCase["inputs"]>): NonNullable<OpCase["inputs"]> =>
    (dims, random) =>
      inputs({ ...dims, L }, random);
  return defineOp({
    name,
    inputs: {
      scores: { dims: ["B", L] },
      labels: { dims: ["B"], type: "i32" },
      weight: { dims: ["B"], differentiable: false },
    },
    outputs: { loss: { dims: [1] } },
    forward: [
      step(
        labelLoss,
        { scores: "scores", labels: "labels", weight: "weight", loss: "loss" },
        { B: "B" },
        { overrides: { L } },
      ),
    ],
    backward: [
      step(
        labelLossBackward,
        { scores: "scores", labels: "labels", weight: "weight", d_loss: "d_loss", d_scores: "d_scores" },
        { B: "B" },
        { overrides: { L } },
      ),
    ],
    reference: (inputs, dims) => {
      const [scores, labels, weight] = [tensor(inputs, "scores"), tensor(inputs, "labels"), tensor(inputs, "weight")];
      let loss = 0;
      for (let b = 0; b < size(dims, "B"); b++)
        loss += at(weight, b) * softplus(t([...scores.subarray(b * L, (b + 1) * L)], at(labels, b)));
      return { loss: Float64Array.of(loss) };
    },
    cases: [
      { dims: { B: 1 }, inputs: withL(random01) },
      { dims: { B: 5 }, inputs: withL(extreme) },
      { dims: { B: 67 }, inputs: withL(random01) },
    ],
  });
}

/** Sum of weight * BCE-with-logits. scores [B, 1], labels i32 [B] (1: positive), weight [B], loss [1]. */
export const binaryLoss = labelLossOp("binaryLoss", 1, ([score = 0], label) => (label === 1 ? -score : score));

/** Sum of weight * cross-entropy over two logits. scores [B, 2], labels i32 [B], weight [B], loss [1]. */
export const crossEntropyLoss = labelLossOp("crossEntropyLoss", 2, ([zero = 0, one = 0], label) =>
  label === 1 ? zero - one : one - zero,
);

/**
 * Sum of weight * -log sigmoid(chosen - rejected). scores [B, 1]: the first half chosen, the second rejected;
 * weight [P] with P = B / 2 pairs; loss [1].
 */
export const pairwiseLoss = defineOp({
  name: "pairwiseLoss",
  inputs: { weight: { dims: ["P"], differentiable: false }, scores: { dims: [(dims) => 2 * size(dims, "P"), 1] } },
  outputs: { loss: { dims: [1] } },
  forward: [step(pairwiseKernel, { scores: "scores", weight: "weight", loss: "loss" }, { pairs: "P" })],
  backward: [
    step(
      pairwiseLossBackward,
      { scores: "scores", weight: "weight", d_loss: "d_loss", d_scores: "d_scores" },
      { pairs: "P" },
    ),
  ],
  reference: (inputs, dims) => {
    const [scores, weight] = [tensor(inputs, "scores"), tensor(inputs, "weight")];
    const P = size(dims, "P");
    let loss = 0;
    for (let i = 0; i < P; i++) loss += at(weight, i) * softplus(at(scores, P + i) - at(scores, i));
    return { loss: Float64Array.of(loss) };
  },
  cases: [
    { dims: { P: 1 } },
    {
      dims: { P: 5 },
      inputs: (_, random) => ({ scores: Float64Array.from({ length: 10 }, (_unused, i) => (i - 5) * 40 + random()) }),
    },
    { dims: { P: 67 } },
  ],
});
