import source from "./attention-delta.wgsl?raw";
import { linearWorkgroups } from "./define";
import { defineVectorKernel } from "./vector";

/** statistics [count, 2]: lse [count], and d_y · y over each of the count = R * heads vectors of head_dim. */
export const attentionDelta = defineVectorKernel({
  name: "attention-delta",
  source,
  bindings: { y: "read", d_y: "read", lse: "read", statistics: "read_write" },
  params: { count: "u32", head_dim: "u32" },
  workgroups: ({ count = 0 }) => linearWorkgroups(count, 64),
});
