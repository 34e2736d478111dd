import { linearWorkgroups } from "./define";
import source from "./layer-norm-columns.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** Rows that one lane adds up. */
export const LAYER_NORM_ROWS = 32;

/** partial [2 * ceil(R / ROWS), H]: sums of d_y * xhat by chunk of rows, then sums of d_y. */
export const layerNormColumns = defineVectorKernel({
  name: "layer-norm-columns",
  source,
  bindings: { x: "read", mean: "read", rstd: "read", d_y: "read", partial: "read_write" },
  params: { R: "u32", H: "u32" },
  overrides: { ROWS: LAYER_NORM_ROWS },
  workgroups: ({ R = 0, H = 0 }, width, { ROWS = 1 }) => linearWorkgroups(Math.ceil(R / ROWS) * (H / width), 64),
});
