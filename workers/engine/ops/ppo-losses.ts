/**
 * PPO's clipped losses (Schulman et al. 2017), one term a token. `weight` carries 1 / (tokens of the whole optimizer step)
 * times the loss's coefficient, so that sums over micro-batches are means, and 0 where a token was not chosen by the
 * policy. What the rollout measured (old_*, advantage, returns) is data, not differentiated.
 */

import { accumulate } from "../kernels/accumulate";
import { add } from "../kernels/add";
import { ppoPolicyLoss as policyKernel } from "../kernels/ppo-policy-loss";
import { ppoPolicyLossBackward } from "../kernels/ppo-policy-loss-backward";
import { ppoValueLoss as valueKernel } from "../kernels/ppo-value-loss";
import { ppoValueLossBackward } from "../kernels/ppo-value-loss-backward";
import { defineOp, type OpCase, step } from "./define";
import { at, byWidth, size, tensor } from "./sizes";

const data = { dims: ["R"], differentiable: false } as const;
const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
const sign = (r: number, bit: number) => ((r >> bit) & 1 ? 1 : -1);

/** A distance that is well inside (every other pair of tokens) or well outside the clip range, to either side. */
const moved = (r: number, range: number, random: () => number) =>
  sign(r, 0) * (sign(r, 1) > 0 ? range * 0.5 * random() : range * (1.7 + 3 * random()));

/** Advantages of either sign, far from 0; a token that does not count among them. */
const policyCase: NonNullable<OpCase["inputs"]> = (dims, random) => {
  const of = (value: (r: number) => number) => Float64Array.from({ length: size(dims, "R") }, (_, r) => value(r));
  const old_logprob = of(() => -4 * random());
  return {
    old_logprob,
    logprob: old_logprob.map((old, r) => old + moved(r, size(dims, "cliprange"), random)),
    advantage: of((r) => sign(r, 2) * (0.3 + random())),
    weight: of((r) => (r % 5 === 4 ? 0 : 0.5 + random())),
  };
};

/** loss [1] = sum of weight * max(-A r, -A clamp(r, 1 ± cliprange)), r = exp(logprob - old_logprob); all others [R]. */
export const ppoPolicyLoss = defineOp({
  name: "ppoPolicyLoss",
  inputs: { logprob: { dims: ["R"] }, old_logprob: data, advantage: data, weight: data },
  outputs: { loss: { dims: [1] } },
  attributes: ["cliprange"],
  forward: [
    step(
      policyKernel,
      { logprob: "logprob", old_logprob: "old_logprob", advantage: "advantage", weight: "weight", loss: "loss" },
      { R: "R", range: "cliprange" },
    ),
  ],
  backward: [
    step(
      ppoPolicyLossBackward,
      {
        logprob: "logprob",
        old_logprob: "old_logprob",
        advantage: "advantage",
        weight: "weight",
        d_loss: "d_loss",
        d_logprob: "d_logprob",
      },
      { R: "R", range: "cliprange" },
    ),
  ],
  reference: (inputs, dims) => {
    const [logprob, old] = [tensor(inputs, "logprob"), tensor(inputs, "old_logprob")];
    const [advantage, weight] = [tensor(inputs, "advantage"), tensor(inputs, "weight")];
    const range = size(dims, "cliprange");
    let loss = 0;
    for (let r = 0; r < logprob.length; r++) {
      const ratio = Math.exp(at(logprob, r) - at(old, r));
      const cut = clamp(ratio, 1 - range, 1 + range);
      loss += at(weight, r) * Math.max(-at(advantage, r) * ratio, -at(advantage, r) * cut);
    }
    return { loss: Float64Array.of(loss) };
  },
  cases: [
    { dims: { R: 1, cliprange: 0.2 }, inputs: policyCase },
    { dims: { R: 18, cliprange: 0.2 }, inputs: policyCase },
    { dims: { R: 131, cliprange: 0.3 }, inputs: policyCase },
  ],
});

/** Returns far outside the clip range, so that neither square is near the other one. */
const valueCase: NonNullable<OpCase["inputs"]> = (dims, random) => {
  const of = (value: (r: number) => number) => Float64Array.from({ length: size(dims, "R") }, (_, r) => value(r));
  const old_value = of(() => 2 * random() - 1);
  return {
    old_value,
    value: old_value.map((old, r) => old + moved(r, size(dims, "cliprange_value"), random)),
    returns: old_value.map((old, r) => old + sign(r, 2) * (10 + random()) * size(dims, "cliprange_value")),
    weight: of((r) => (r % 5 === 4 ? 0 : 0.5 + random())),
  };
};

/**
 * loss [1] = sum of weight / 2 * max((value - returns)², (clamp(value, old_value ± cliprange_value) - returns)²).
 * value [R, 1], all others [R].
 */
export const ppoValueLoss = defineOp({
  name: "ppoValueLoss",
  inputs: { value: { dims: ["R", 1] }, old_value: data, returns: data, weight: data },
  outputs: { loss: { dims: [1] } },
  attributes: ["cliprange_value"],
  forward: [
    step(
      valueKernel,
      { value: "value", old_value: "old_value", returns: "returns", weight: "weight", loss: "loss" },
      { R: "R", range: "cliprange_value" },
    ),
  ],
  backward: [
    step(
      ppoValueLossBackward,
      {
        value: "value",
        old_value: "old_value",
        returns: "returns",
        weight: "weight",
        d_loss: "d_loss",
        d_value: "d_value",
      },
      { R: "R", range: "cliprange_value" },
    ),
  ],
  reference: (inputs, dims) => {
    const [value, old] = [tensor(inputs, "value"), tensor(inputs, "old_value")];
    const [returns, weight] = [tensor(inputs, "returns"), tensor(inputs, "weight")];
    const range = size(dims, "cliprange_value");
    let loss = 0;
    for (let r = 0; r < value.length; r++) {
      const error = at(value, r) - at(returns, r);
      const cut = clamp(at(value, r), at(old, r) - range, at(old, r) + range) - at(returns, r);
      loss += 0.5 * at(weight, r) * Math.max(error ** 2, cut ** 2);
    }
    return { loss: Float64Array.of(loss) };
  },
  cases: [
    { dims: { R: 1, cliprange_value: 0.2 }, inputs: valueCase },
    { dims: { R: 18, cliprange_value: 0.2 }, inputs: valueCase },
    { dims: { R: 131, cliprange_value: 0.5 }, inputs: valueCase },
  ],
});

/** y = a + b of losses [N]. */
export const addLosses = defineOp({
  name: "addLosses",
  inputs: { a: { dims: ["N"] }, b: { dims: ["N"] } },
  outputs: { y: { dims: ["N"] } },
  forward: [step(byWidth(add, ["N"]), { a: "a", b: "b", y: "y" }, { N: "N" })],
  backward: [
    step(accumulate, { x: "d_y", y: "d_a" }, { N: "N" }),
    step(accumulate, { x: "d_y", y: "d_b" }, { N: "N" }),
  ],
  reference: (inputs) => {
    const b = tensor(inputs, "b");
    return { y: tensor(inputs, "a").map((value, i) => value + at(b, i)) };
  },
  cases: [{ dims: { N: 1 } }, { dims: { N: 5 } }],
});
