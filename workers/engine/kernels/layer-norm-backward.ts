import { linearWorkgroups } from "./define";
import source from "./layer-norm-backward.wgsl?raw";
import rowTotal from "./row-total.wgsl?raw";
import total64 from "./total64.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** d_x [R, H] (+)= the gradient of layer norm, from the saved mean and rstd [R]. */
export const layerNormBackward = defineVectorKernel({
  name: "layer-norm-backward",
  source: `alias SUM = vec2f;\n${total64}${rowTotal}${source}`,
  bindings: { x: "read", weight: "read", mean: "read", rstd: "read", d_y: "read", d_x: "read_write" },
  params: { R: "u32", H: "u32" },
  overrides: { LANES: 64, ACCUMULATE: 0 },
  workgroups: ({ R = 0 }, _width, { LANES = 64 }) => linearWorkgroups(R, 64 / LANES),
});
