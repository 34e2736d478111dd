import { columnSum } from "../kernels/column-sum";
import { layerNorm as layerNormKernel } from "../kernels/layer-norm";
import { layerNormBackward } from "../kernels/layer-norm-backward";
import { LAYER_NORM_ROWS, layerNormColumns } from "../kernels/layer-norm-columns";
import type { VectorKernel } from "../kernels/vector";
import { type Dims, defineOp, type Step, step } from "./define";
import { at, byWidth, size, tensor } from "./sizes";

/** A workgroup a row on GPUs, a lane a row on software adapters. */
const byRow =
  (kernel: VectorKernel): Step["choose"] =>
  (dims, capabilities) => ({
    kernel: size(dims, "H") % 4 === 0 ? kernel.vec4 : kernel.scalar,
    overrides: { LANES: capabilities.cpu ? 1 : 64 },
  });

const chunks = (dims: Dims) => Math.ceil(size(dims, "R") / LAYER_NORM_ROWS);

/** y = (x - mean) / sqrt(variance + eps) * weight + bias over the last dim. x, y [R, H], weight, bias [H]; saves mean, rstd [R]. */
export const layerNorm = defineOp({
  name: "layerNorm",
  inputs: { x: { dims: ["R", "H"] }, weight: { dims: ["H"] }, bias: { dims: ["H"] } },
  outputs: { y: { dims: ["R", "H"] }, mean: { dims: ["R"] }, rstd: { dims: ["R"] } },
  saved: ["mean", "rstd"],
  quick: true,
  attributes: ["eps"],
  backwardScratch: { partial: { dims: [(dims) => 2 * chunks(dims), "H"] } },
  forward: [
    step(
      byRow(layerNormKernel),
      { x: "x", weight: "weight", bias: "bias", y: "y", mean: "mean", rstd: "rstd" },
      { R: "R", H: "H", eps: "eps" },
    ),
  ],
  backward: [
    step(
      byRow(layerNormBackward),
      { x: "x", weight: "weight", mean: "mean", rstd: "rstd", d_y: "d_y", d_x: "d_x" },
      { R: "R", H: "H" },
    ),
    step(
      byWidth(layerNormColumns, ["H"]),
      { x: "x", mean: "mean", rstd: "rstd", d_y: "d_y", partial: "partial" },
      { R: "R", H: "H" },
    ),
    step(byWidth(columnSum, ["H"]), { x: "partial", y: "d_weight" }, { first: 0, rows: chunks, H: "H" }),
    step(byWidth(columnSum, ["H"]), { x: "partial", y: "d_bias" }, { first: chunks, rows: chunks, H: "H" }),
  ],
  reference: (inputs, dims) => {
    const [x, weight, bias] = [tensor(inputs, "x"), tensor(inputs, "weight"), tensor(inputs, "bias")];
    const [R, H] = [size(dims, "R"), size(dims, "H")];
    const mean = new Float64Array(R);
    const rstd = new Float64Array(R);
    const y = new Float64Array(R * H);
    for (let r = 0; r < R; r++) {
      let sum = 0;
      for (let h = 0; h < H; h++) sum += at(x, r * H + h);
      const m = sum / H;
      let squares = 0;
      for (let h = 0; h < H; h++) squares += (at(x, r * H + h) - m) ** 2;
      mean[r] = m;
      rstd[r] = 1 / Math.sqrt(squares / H + size(dims, "eps"));
      for (let h = 0; h < H; h++) y[r * H + h] = (at(x, r * H + h) - m) * at(rstd, r) * at(weight, h) + at(bias, h);
    }
    return { y, mean, rstd };
  },
  cases: [
    { dims: { R: 3, H: 5, eps: 1e-5 } },
    { dims: { R: 1, H: 8, eps: 1e-3 } },
    { dims: { R: 70, H: 260, eps: 1e-5 } },
    { dims: { R: 67, H: 131, eps: 1e-5 } },
    {
      // A mean that is large against the spread: E[x²] - mean² would lose all but two digits.
      dims: { R: 2, H: 36, eps: 1e-5 },
      inputs: (dims, random) => ({
        x: Float64Array.from({ length: size(dims, "R") * size(dims, "H") }, () => 30 + random()),
      }),
    },
  ],
});
