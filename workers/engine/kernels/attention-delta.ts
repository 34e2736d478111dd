import source from "./attention-delta.wgsl?raw";
import { linearWorkgroups } from "./define";
import { defineVectorKernel } from "./vector";

/** delta [count] = d_y · y over each of the count = R * heads vectors of head_dim. */
export const attentionDelta = defineVectorKernel({
  name: "attention-delta",
  source,
  bindings: { y: "read", d_y: "read", delta: "read_write" },
  params: { count: "u32", head_dim: "u32" },
  workgroups: ({ count = 0 }) => linearWorkgroups(count, 64),
});
