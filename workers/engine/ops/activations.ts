/** gelu, geluTanh, relu: elementwise on x [R, H]. */

import { ACTIVATION, activation } from "../kernels/activation";
import { activationBackward } from "../kernels/activation-backward";
import { defineOp, type OpCase, type OpDefinition, step } from "./define";
import { byWidth, product, tensor } from "./sizes";

/** The error function in float64, by its series and, beyond 3, the continued fraction of erfc. */
export function erf(x: number): number {
  const t = Math.abs(x);
  if (t > 3) {
    let fraction = 0;
    for (let n = 60; n > 0; n--) fraction = n / 2 / (t + fraction);
    return Math.sign(x) * (1 - Math.exp(-t * t) / ((t + fraction) * Math.sqrt(Math.PI)));
  }
  let term = x;
  let sum = x;
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const N = product("R", "H");

function activationOp(
  name: string,
  kind: number,
  f: (x: number) => number,
  inputs?: NonNullable<OpCase["inputs"]>,
): OpDefinition {
  const cases = [
    { R: 1, H: 1 },
    { R: 5, H: 7 },
    { R: 37, H: 20 },
  ];
  return defineOp({
    name,
    inputs: { x: { dims: ["R", "H"] } },
    outputs: { y: { dims: ["R", "H"] } },
    quick: true,
    forward: [step(byWidth(activation, [N], { KIND: kind }), { x: "x", y: "y" }, { N })],
    backward: [step(byWidth(activationBackward, [N], { KIND: kind }), { x: "x", d_y: "d_y", d_x: "d_x" }, { N })],
    reference: (tensors) => ({ y: tensor(tensors, "x").map(f) }),
    cases: cases.map((dims) => ({ dims, ...(inputs ? { inputs } : {}) })),
  });
}

/** Values over the whole range where the activation bends, and far out where exp would overflow. */
const wide: NonNullable<OpCase["inputs"]> = (dims, random) => ({
  x: Float64Array.from({ length: N(dims) }, (_, i) => (i % 11 === 10 ? 40 : 5) * (2 * random() - 1)),
});

/** Away from zero: no slope exists at the kink. */
const offZero: NonNullable<OpCase["inputs"]> = (dims, random) => ({
  x: Float64Array.from({ length: N(dims) }, () => (random() < 0.5 ? -1 : 1) * (0.1 + random())),
});

/** y = x * Phi(x), exact (erf). */
export const gelu = activationOp("gelu", ACTIVATION.gelu, (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)), wide);

/** The tanh form: gelu_new, gelu_fast, gelu_pytorch_tanh. */
export const geluTanh = activationOp(
  "geluTanh",
  ACTIVATION.geluTanh,
  (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  wide,
);

/** y = max(x, 0); the slope at 0 is 0, as in PyTorch. */
export const relu = activationOp("relu", ACTIVATION.relu, (x) => Math.max(x, 0), offZero);
