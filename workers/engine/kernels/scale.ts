import { linearWorkgroups } from "./define";
import source from "./scale.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** y [N] (+)= factor * x [N]. */
export const scale = defineVectorKernel({
  name: "scale",
  source,
  bindings: { x: "read", y: "read_write" },
  params: { N: "u32", factor: "f32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ N = 0 }, width) => linearWorkgroups(N / width, 64),
});
