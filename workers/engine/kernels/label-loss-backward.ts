import { defineKernel, linearWorkgroups } from "./define";
import source from "./label-loss-backward.wgsl?raw";
import slope from "./loss-slope.wgsl?raw";

/** d_scores [B, L] (+)= the gradient of `label-loss` times d_loss [1]. */
export const labelLossBackward = defineKernel({
  name: "label-loss-backward",
  source: slope + source,
  bindings: { scores: "read", labels: "read", weight: "read", d_loss: "read", d_scores: "read_write" },
  params: { B: "u32" },
  overrides: { L: 1, ACCUMULATE: 0 },
  workgroups: ({ B = 0 }) => linearWorkgroups(B, 64),
});
