import source from "./accumulate.wgsl?raw";
import { defineKernel, linearWorkgroups } from "./define";

/** y [N] (+)= x [N]. Used by plans, not by ops. */
export const accumulate = defineKernel({
  name: "accumulate",
  source,
  bindings: { x: "read", y: "read_write" },
  params: { N: "u32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ N = 0 }) => linearWorkgroups(N, 64),
});
