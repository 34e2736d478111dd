import { defineKernel, linearWorkgroups } from "./define";
import source from "./lm-loss-gradient.wgsl?raw";

/** logits [R, N] of the vocabulary entries from `first` on become d_logits; lse [R], targets i32 [R], two factors [1]. */
export const lmLossGradient = defineKernel({
  name: "lm-loss-gradient",
  source,
  bindings: { lse: "read", targets: "read", token_weight: "read", d_loss: "read", logits: "read_write" },
  params: { R: "u32", N: "u32", first: "u32" },
  workgroups: ({ R = 0 }) => linearWorkgroups(R, 1),
});
