import { accumulate } from "../kernels/accumulate";
import { add as addKernel } from "../kernels/add";
import { defineOp, step } from "./define";
import { at, byWidth, product, tensor } from "./sizes";

const N = product("R", "H");

/** y = a + b: the residual stream. a, b, y [R, H]. */
export const add = defineOp({
  name: "add",
  inputs: { a: { dims: ["R", "H"] }, b: { dims: ["R", "H"] } },
  outputs: { y: { dims: ["R", "H"] } },
  forward: [step(byWidth(addKernel, [N]), { a: "a", b: "b", y: "y" }, { N })],
  backward: [step(accumulate, { x: "d_y", y: "d_a" }, { N }), step(accumulate, { x: "d_y", y: "d_b" }, { N })],
  reference: (inputs) => {
    const b = tensor(inputs, "b");
    return { y: tensor(inputs, "a").map((value, i) => value + at(b, i)) };
  },
  cases: [{ dims: { R: 1, H: 1 } }, { dims: { R: 5, H: 7 } }, { dims: { R: 37, H: 20 } }],
});
