import { defineKernel, linearWorkgroups } from "./define";
import source from "./token-logprob-gradient.wgsl?raw";

/** logits [R, N] of the vocabulary entries from `first` on become d_logits; lse and d_logprob [R], targets i32 [R]. */
export const tokenLogprobGradient = defineKernel({
  name: "token-logprob-gradient",
  source,
  bindings: { lse: "read", targets: "read", d_logprob: "read", logits: "read_write" },
  params: { R: "u32", N: "u32", first: "u32", scale: "f32" },
  workgroups: ({ R = 0 }) => linearWorkgroups(R, 1),
});
