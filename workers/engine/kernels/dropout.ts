import { defineKernel, linearWorkgroups } from "./define";
import source from "./dropout.wgsl?raw";

/** y [N] (+)= factor * x [N] where hash(seed [1], salt, element) >= threshold, else 0. Seed: i32, all 32 bits count. */
export const dropout = defineKernel({
  name: "dropout",
  source,
  bindings: { x: "read", seed: "read", y: "read_write" },
  params: { N: "u32", salt: "u32", threshold: "u32", factor: "f32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ N = 0 }) => linearWorkgroups(N, 64),
});
