import { linearWorkgroups } from "./define";
import source from "./fill.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** y [N] (+)= value. Adding zero is one empty workgroup. */
export const fill = defineVectorKernel({
  name: "fill",
  source,
  bindings: { y: "read_write" },
  params: { N: "u32", value: "f32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ N = 0, value = 0 }, width, { ACCUMULATE = 0 }) =>
    ACCUMULATE === 1 && value === 0 ? [1, 1, 1] : linearWorkgroups(N / width, 64),
});
