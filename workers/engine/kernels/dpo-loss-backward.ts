import { defineKernel, linearWorkgroups } from "./define";
import source from "./dpo-loss-backward.wgsl?raw";
import slope from "./loss-slope.wgsl?raw";

/** d_scores [2 * pairs] (+)= the gradient of `dpo-loss` by logps, times d_loss [1]. */
export const dpoLossBackward = defineKernel({
  name: "dpo-loss-backward",
  source: slope + source,
  bindings: { logps: "read", reference: "read", weight: "read", d_loss: "read", d_scores: "read_write" },
  params: { pairs: "u32", beta: "f32", label_smoothing: "f32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ pairs = 0 }) => linearWorkgroups(pairs, 64),
});
