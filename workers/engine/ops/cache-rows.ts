import { cacheRows as cacheRowsKernel } from "../kernels/cache-rows";
import { defineOp, type OpCase, step } from "./define";
import { at, byWidth, size, tensor } from "./sizes";

/** Texts in any order, some tokens that go nowhere, no row twice. */
const places =
  (...rows: readonly (readonly [text: number, position: number])[]): NonNullable<OpCase["inputs"]> =>
  () => ({
    text: Float64Array.from(rows, ([text]) => text),
    position_ids: Float64Array.from(rows, ([, position]) => position),
  });

/**
 * Keys and values of tokens into a cache: row r of k and v [R, W] becomes row text[r] * length + position_ids[r] of
 * k_cache and v_cache [C, W]; text i32 [R], -1: nowhere. No row may be written twice. Attribute: length, rows of a text.
 */
export const cacheRows = defineOp({
  name: "cacheRows",
  inputs: {
    k: { dims: ["R", "W"], differentiable: false },
    v: { dims: ["R", "W"], differentiable: false },
    text: { dims: ["R"], type: "i32" },
    position_ids: { dims: ["R"], type: "i32" },
    k_cache: { dims: ["C", "W"], differentiable: false },
    v_cache: { dims: ["C", "W"], differentiable: false },
  },
  outputs: {},
  updates: ["k_cache", "v_cache"],
  attributes: ["length"],
  forward: [
    step(
      byWidth(cacheRowsKernel, ["W"]),
      { k: "k", v: "v", text: "text", position_ids: "position_ids", k_cache: "k_cache", v_cache: "v_cache" },
      { R: "R", W: "W", length: "length" },
    ),
  ],
  reference: (inputs, dims) => {
    const [text, position] = [tensor(inputs, "text"), tensor(inputs, "position_ids")];
    const [W, length] = [size(dims, "W"), size(dims, "length")];
    const written = (rows: string, cache: string) => {
      const values = tensor(inputs, cache).slice();
      text.forEach((t, r) => {
        if (t >= 0) values.set(tensor(inputs, rows).subarray(r * W, (r + 1) * W), (t * length + at(position, r)) * W);
      });
      return values;
    };
    return { k_cache: written("k", "k_cache"), v_cache: written("v", "v_cache") };
  },
  cases: [
    { dims: { R: 5, W: 7, C: 22, length: 11 }, inputs: places([1, 0], [-1, 3], [0, 10], [1, 1], [0, 0]) },
    { dims: { R: 3, W: 28, C: 5, length: 5 }, inputs: places([0, 4], [0, 2], [-1, 0]) },
    { dims: { R: 1, W: 1, C: 1, length: 1 }, inputs: places([0, 0]) },
  ],
});
