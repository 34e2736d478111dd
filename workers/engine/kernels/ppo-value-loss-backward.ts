import { defineKernel, linearWorkgroups } from "./define";
import source from "./ppo-value-loss-backward.wgsl?raw";

/** d_value [R] (+)= the gradient of `ppo-value-loss` times d_loss [1]. */
export const ppoValueLossBackward = defineKernel({
  name: "ppo-value-loss-backward",
  source,
  bindings: {
    value: "read",
    old_value: "read",
    returns: "read",
    weight: "read",
    d_loss: "read",
    d_value: "read_write",
  },
  params: { R: "u32", range: "f32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ R = 0 }) => linearWorkgroups(R, 64),
});
