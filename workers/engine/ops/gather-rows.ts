import { gatherRows as gatherRowsKernel } from "../kernels/gather-rows";
import { gatherRowsBackward } from "../kernels/gather-rows-backward";
import { defineOp, type OpCase, step } from "./define";
import { at, byWidth, size, tensor } from "./sizes";

/** Random rows; the last two indices are equal, as filler rows are. */
const indices: NonNullable<OpCase["inputs"]> = (dims, random) => {
  const index = Float64Array.from({ length: size(dims, "B") }, () => Math.floor(random() * size(dims, "R")));
  if (index.length > 1) index[index.length - 1] = at(index, index.length - 2);
  return { index };
};

/** y[b] = x[index[b]]: the hidden state each text is judged by. x [R, H], index i32 [B], y [B, H]. */
export const gatherRows = defineOp({
  name: "gatherRows",
  inputs: { x: { dims: ["R", "H"] }, index: { dims: ["B"], type: "i32" } },
  outputs: { y: { dims: ["B", "H"] } },
  forward: [
    step(byWidth(gatherRowsKernel, ["H"]), { x: "x", index: "index", y: "y" }, { B: "B", H: "H", first: 0, rows: "R" }),
  ],
  backward: [
    step(byWidth(gatherRowsBackward, ["H"]), { index: "index", d_y: "d_y", d_x: "d_x" }, { R: "R", B: "B", H: "H" }),
  ],
  reference: (inputs, dims) => {
    const [x, index] = [tensor(inputs, "x"), tensor(inputs, "index")];
    const H = size(dims, "H");
    return {
      y: Float64Array.from({ length: index.length * H }, (_, i) => at(x, at(index, Math.floor(i / H)) * H + (i % H))),
    };
  },
  cases: [
    { dims: { R: 1, H: 1, B: 1 }, inputs: indices },
    { dims: { R: 13, H: 7, B: 5 }, inputs: indices },
    { dims: { R: 70, H: 12, B: 9 }, inputs: indices },
  ],
});
