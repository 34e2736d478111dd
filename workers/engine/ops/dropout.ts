import { dropout as dropoutKernel } from "../kernels/dropout";
import { type Dims, defineOp, type OpCase, step } from "./define";
import { at, product, size, tensor } from "./sizes";

const N = product("R", "H");

/** Elements whose hash is below it are dropped: p of 2^32. */
const threshold = (dims: Dims) => Math.min(2 ** 32 - 1, Math.round(size(dims, "p") * 2 ** 32));
const factor = (dims: Dims) => 1 / (1 - size(dims, "p"));
const params = { N, salt: "salt", threshold, factor };

/** lowbias32, as in dropout.wgsl. */
function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb_352d);
  h = Math.imul(h ^ (h >>> 15), 0x846c_a68b);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Any 32 bits, the sign bit among them. */
const seeds: NonNullable<OpCase["inputs"]> = (_, random) => ({
  seed: Float64Array.of(Math.floor(2 ** 32 * random()) | 0),
});

/**
 * y = x / (1 - p), or 0 with probability p: torch.nn.Dropout in training. x, y [R, H], seed i32 [1]. Attributes: p in
 * [0, 1), salt (a number of its own for each dropout of a model). The mask is a hash of (seed, salt, element): the
 * backward makes it again, a resumed run too.
 */
export const dropout = defineOp({
  name: "dropout",
  inputs: { x: { dims: ["R", "H"] }, seed: { dims: [1], type: "i32" } },
  outputs: { y: { dims: ["R", "H"] } },
  quick: true,
  attributes: ["p", "salt"],
  forward: [step(dropoutKernel, { x: "x", seed: "seed", y: "y" }, params)],
  backward: [step(dropoutKernel, { x: "d_y", seed: "seed", y: "d_x" }, params)],
  reference: (inputs, dims) => {
    const key = mix(at(tensor(inputs, "seed"), 0) ^ mix(size(dims, "salt") + 0x9e37_79b9));
    const kept = (i: number) => mix(mix(i ^ key) + key) >= threshold(dims);
    return { y: tensor(inputs, "x").map((value, i) => (kept(i) ? value * factor(dims) : 0)) };
  },
  cases: [
    { dims: { R: 1, H: 1, p: 0, salt: 0 }, inputs: seeds },
    { dims: { R: 5, H: 7, p: 0.5, salt: 1 }, inputs: seeds },
    { dims: { R: 37, H: 20, p: 0.1, salt: 23 }, inputs: seeds },
    { dims: { R: 3, H: 50, p: 0.97, salt: 4_000_000_000 }, inputs: seeds },
  ],
});
