import { defineKernel } from "./define";
import source from "./ppo-policy-loss.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** loss [1]: the sum over R tokens of weight times PPO's clipped policy loss. One workgroup. */
export const ppoPolicyLoss = defineKernel({
  name: "ppo-policy-loss",
  source: `alias SUM = f32;\n${total64}${source}`,
  bindings: { logprob: "read", old_logprob: "read", advantage: "read", weight: "read", loss: "read_write" },
  params: { R: "u32", range: "f32" },
  workgroups: () => [1, 1, 1],
});
