import { defineKernel } from "./define";
import source from "./sample-chunk.wgsl?raw";
import shared from "./sample-softmax.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** Vocabulary entries a workgroup looks at. */
export const SAMPLE_CHUNK = 512;

/**
 * The largest logit of each chunk of logits [B, V], its index and the chunk's mass into partial [B, 4 * chunks + 2]
 * (sample-softmax.wgsl). settings f32 [3]: temperature, top_k, top_p.
 */
export const sampleChunk = defineKernel({
  name: "sample-chunk",
  source: `alias SUM = f32;\n${total64}${shared}${source}`,
  bindings: { logits: "read", settings: "read", partial: "read_write" },
  params: { B: "u32", V: "u32", chunks: "u32", size: "u32" },
  workgroups: ({ B = 0, chunks = 0 }) => [chunks, B, 1],
});
