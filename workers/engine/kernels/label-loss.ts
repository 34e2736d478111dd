import { defineKernel } from "./define";
import source from "./label-loss.wgsl?raw";
import softplus from "./softplus.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** loss [1] of scores [B, L], labels i32 [B], weight [B]; L 1: binary, L 2: cross-entropy. One workgroup. */
export const labelLoss = defineKernel({
  name: "label-loss",
  source: `alias SUM = f32;\n${total64}${softplus}${source}`,
  bindings: { scores: "read", labels: "read", weight: "read", loss: "read_write" },
  params: { B: "u32" },
  overrides: { L: 1 },
  workgroups: () => [1, 1, 1],
});
