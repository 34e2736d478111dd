import { defineKernel, linearWorkgroups } from "./define";
import source from "./text-sum-backward.wgsl?raw";

/** d_x [R] (+)= d_y of the token's text; text i32 [R], negative where a token belongs to none. */
export const textSumBackward = defineKernel({
  name: "text-sum-backward",
  source,
  bindings: { text: "read", d_y: "read", d_x: "read_write" },
  params: { R: "u32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ R = 0 }) => linearWorkgroups(R, 64),
});
