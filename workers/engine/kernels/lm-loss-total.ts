import { defineKernel } from "./define";
import source from "./lm-loss-total.wgsl?raw";

/** lse [R] and loss [1] from running [R, 3], targets i32 [R] and token_weight [1]. */
export const lmLossTotal = defineKernel({
  name: "lm-loss-total",
  source,
  bindings: { running: "read", targets: "read", token_weight: "read", lse: "read_write", loss: "read_write" },
  params: { R: "u32" },
  workgroups: () => [1, 1, 1],
});
