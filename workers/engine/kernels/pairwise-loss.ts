import { defineKernel } from "./define";
import source from "./pairwise-loss.wgsl?raw";
import softplus from "./softplus.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** loss [1] of scores [2 * pairs] (chosen, then rejected) and weight [pairs]. One workgroup. */
export const pairwiseLoss = defineKernel({
  name: "pairwise-loss",
  source: `alias SUM = f32;\n${total64}${softplus}${source}`,
  bindings: { scores: "read", weight: "read", loss: "read_write" },
  params: { pairs: "u32" },
  workgroups: () => [1, 1, 1],
});
