import { defineKernel } from "./define";
import source from "./pairwise-loss.wgsl?raw";

/** loss [1] of scores [2 * pairs] (chosen, then rejected) and weight [pairs]. One workgroup. */
export const pairwiseLoss = defineKernel({
  name: "pairwise-loss",
  source,
  bindings: { scores: "read", weight: "read", loss: "read_write" },
  params: { pairs: "u32" },
  workgroups: () => [1, 1, 1],
});
