import { defineKernel } from "./define";
import shared from "./sample-softmax.wgsl?raw";
import source from "./sample-threshold.wgsl?raw";

/** Where top-k and top-p cut the logits of each text, into partial. LANES is at least 16. */
export const sampleThreshold = defineKernel({
  name: "sample-threshold",
  source: shared + source,
  bindings: { logits: "read", settings: "read", partial: "read_write" },
  params: { B: "u32", V: "u32", chunks: "u32", zero: "u32" },
  overrides: { LANES: 128 },
  workgroups: ({ B = 0 }) => [B, 1, 1],
});
