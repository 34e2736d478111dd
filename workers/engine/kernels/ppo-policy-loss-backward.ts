import { defineKernel, linearWorkgroups } from "./define";
import source from "./ppo-policy-loss-backward.wgsl?raw";

/** d_logprob [R] (+)= the gradient of `ppo-policy-loss` times d_loss [1]. */
export const ppoPolicyLossBackward = defineKernel({
  name: "ppo-policy-loss-backward",
  source,
  bindings: {
    logprob: "read",
    old_logprob: "read",
    advantage: "read",
    weight: "read",
    d_loss: "read",
    d_logprob: "read_write",
  },
  params: { R: "u32", range: "f32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ R = 0 }) => linearWorkgroups(R, 64),
});
