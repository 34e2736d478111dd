import { defineKernel } from "./define";
import source from "./sample-kept.wgsl?raw";
import shared from "./sample-softmax.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** What the threshold leaves of the mass of each chunk, into partial. */
export const sampleKept = defineKernel({
  name: "sample-kept",
  source: `alias SUM = f32;\n${total64}${shared}${source}`,
  bindings: { logits: "read", settings: "read", partial: "read_write" },
  params: { B: "u32", V: "u32", chunks: "u32", size: "u32" },
  workgroups: ({ B = 0, chunks = 0 }) => [chunks, B, 1],
});
