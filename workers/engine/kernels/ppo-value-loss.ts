import { defineKernel } from "./define";
import source from "./ppo-value-loss.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** loss [1]: the sum over R tokens of weight times PPO's clipped value loss. One workgroup. */
export const ppoValueLoss = defineKernel({
  name: "ppo-value-loss",
  source: `alias SUM = f32;\n${total64}${source}`,
  bindings: { value: "read", old_value: "read", returns: "read", weight: "read", loss: "read_write" },
  params: { R: "u32", range: "f32" },
  workgroups: () => [1, 1, 1],
});
