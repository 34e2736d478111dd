import { linearWorkgroups } from "./define";
import source from "./gather-rows-backward.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** d_x [R, H] (+)= d_y [B, H] scattered to the rows index [B]. Work R * H * B: for few indices. */
export const gatherRowsBackward = defineVectorKernel({
  name: "gather-rows-backward",
  source,
  bindings: { index: "read", d_y: "read", d_x: "read_write" },
  params: { R: "u32", B: "u32", H: "u32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ R = 0, H = 0 }, width) => linearWorkgroups((R * H) / width, 64),
});
