import { defineKernel, linearWorkgroups } from "./define";
import slope from "./loss-slope.wgsl?raw";
import source from "./pairwise-loss-backward.wgsl?raw";

/** d_scores [2 * pairs] (+)= the gradient of `pairwise-loss` times d_loss [1]. */
export const pairwiseLossBackward = defineKernel({
  name: "pairwise-loss-backward",
  source: slope + source,
  bindings: { scores: "read", weight: "read", d_loss: "read", d_scores: "read_write" },
  params: { pairs: "u32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ pairs = 0 }) => linearWorkgroups(pairs, 64),
});
