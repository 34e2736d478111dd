import { defineKernel } from "./define";
import source from "./dpo-loss.wgsl?raw";
import softplus from "./softplus.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** loss [1] of logps and reference [2 * pairs] (chosen, then rejected) and weight [pairs]. One workgroup. */
export const dpoLoss = defineKernel({
  name: "dpo-loss",
  source: `alias SUM = f32;\n${total64}${softplus}${source}`,
  bindings: { logps: "read", reference: "read", weight: "read", loss: "read_write" },
  params: { pairs: "u32", beta: "f32", label_smoothing: "f32" },
  workgroups: () => [1, 1, 1],
});
