import { embeddingBackward } from "../kernels/embedding-backward";
import { fill } from "../kernels/fill";
import { gatherRows } from "../kernels/gather-rows";
import { occurrences } from "../kernels/occurrences";
import { defineOp, type OpCase, step } from "./define";
import { at, byWidth, product, size, tensor } from "./sizes";

/** Ids with many repetitions: three in four come from the first few. */
const tokens: NonNullable<OpCase["inputs"]> = (dims, random) => ({
  ids: Float64Array.from({ length: size(dims, "R") }, () =>
    Math.floor(random() * (random() < 0.75 ? Math.min(3, size(dims, "V")) : size(dims, "V"))),
  ),
});

const gather = byWidth(gatherRows, ["H"]);

/**
 * y[r] = weight[ids[r]]. ids i32 [R], weight [V, H] (f32, or f16 where frozen; may be stored in parts), y [R, H]. Every id
 * lies in 0 .. V - 1.
 */
export const embedding = defineOp({
  name: "embedding",
  inputs: { ids: { dims: ["R"], type: "i32" }, weight: { dims: ["V", "H"] } },
  outputs: { y: { dims: ["R", "H"] } },
  backwardScratch: { links: { dims: ["R", 2], type: "i32" } },
  forward: [
    step(
      (dims, capabilities, elements) => ({
        ...gather(dims, capabilities, elements),
        elements: { WEIGHT: elements.weight ?? "f32" },
      }),
      { x: "weight", index: "ids", y: "y" },
      { B: "R", H: "H", first: "first", rows: "V" },
      { byParts: { weight: "H" } },
    ),
  ],
  backward: [
    step(occurrences, { ids: "ids", links: "links" }, { R: "R" }),
    step(
      byWidth(fill, [product("V", "H")]),
      { y: "d_weight" },
      { N: product("V", "H"), value: 0 },
      { byParts: { d_weight: "H" } },
    ),
    // d_weight has been written by now, so this one always adds.
    step(
      byWidth(embeddingBackward, ["H"]),
      { ids: "ids", links: "links", d_y: "d_y", d_weight: "d_weight" },
      { R: "R", H: "H", first: "first", rows: "V" },
      { byParts: { d_weight: "H" } },
    ),
  ],
  reference: (inputs, dims) => {
    const [ids, weight] = [tensor(inputs, "ids"), tensor(inputs, "weight")];
    const H = size(dims, "H");
    return {
      y: Float64Array.from({ length: ids.length * H }, (_, i) => at(weight, at(ids, Math.floor(i / H)) * H + (i % H))),
    };
  },
  cases: [
    { dims: { R: 1, V: 2, H: 1 }, inputs: tokens },
    { dims: { R: 29, V: 11, H: 7 }, inputs: tokens },
    { dims: { R: 131, V: 203, H: 12 }, inputs: tokens },
    { dims: { R: 29, V: 11, H: 7 }, inputs: tokens, elements: { weight: "f16" } },
    { dims: { R: 9, V: 33, H: 12 }, inputs: tokens, elements: { weight: "f16" } },
    { dims: { R: 67, V: 203, H: 7, part: 64 }, inputs: tokens },
    { dims: { R: 31, V: 300, H: 12, part: 128 }, inputs: tokens, elements: { weight: "f16" } },
  ],
});
