import { linearWorkgroups } from "./define";
import source from "./layer-norm.wgsl?raw";
import rowTotal from "./row-total.wgsl?raw";
import total64 from "./total64.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** Rows of x [R, H] normalised, times weight [H] plus bias [H]; mean and rstd [R] for the backward. */
export const layerNorm = defineVectorKernel({
  name: "layer-norm",
  source: `alias SUM = f32;\n${total64}${rowTotal}${source}`,
  bindings: { x: "read", weight: "read", bias: "read", y: "read_write", mean: "read_write", rstd: "read_write" },
  params: { R: "u32", H: "u32", eps: "f32" },
  overrides: { LANES: 64 },
  workgroups: ({ R = 0 }, _width, { LANES = 64 }) => linearWorkgroups(R, 64 / LANES),
});
