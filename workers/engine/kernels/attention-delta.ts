import source from "./attention-delta.wgsl?raw";
import { linearWorkgroups } from "./define";
import { defineVectorKernel } from "./vector";

/** delta [count] = d_y · y over each of the count = R * heads vectors of HEAD_DIM. */
export const attentionDelta = defineVectorKernel({
  name: "attention-delta",
  source,
  bindings: { y: "read", d_y: "read", delta: "read_write" },
  params: { count: "u32" },
  overrides: { HEAD_DIM: 64 },
  workgroups: ({ count = 0 }) => linearWorkgroups(count, 64),
});
