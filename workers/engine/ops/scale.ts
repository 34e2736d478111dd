import { scale as scaleKernel } from "../kernels/scale";
import { defineOp, step } from "./define";
import { byWidth, product, size, tensor } from "./sizes";

const N = product("R", "H");
const kernel = byWidth(scaleKernel, [N]);

/** y = factor * x. x, y [R, H]. Attribute: factor. */
export const scale = defineOp({
  name: "scale",
  inputs: { x: { dims: ["R", "H"] } },
  outputs: { y: { dims: ["R", "H"] } },
  attributes: ["factor"],
  forward: [step(kernel, { x: "x", y: "y" }, { N, factor: "factor" })],
  backward: [step(kernel, { x: "d_y", y: "d_x" }, { N, factor: "factor" })],
  reference: (inputs, dims) => ({ y: tensor(inputs, "x").map((value) => value * size(dims, "factor")) }),
  cases: [
    { dims: { R: 1, H: 1, factor: 3 } },
    { dims: { R: 5, H: 7, factor: 0.25 } },
    { dims: { R: 37, H: 20, factor: 1.7 } },
  ],
});
