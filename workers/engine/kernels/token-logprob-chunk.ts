import { defineKernel, linearWorkgroups } from "./define";
import source from "./token-logprob-chunk.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** Folds logits [R, N] of the vocabulary entries from `first` on into running [R, 4]; targets i32 [R]. */
export const tokenLogprobChunk = defineKernel({
  name: "token-logprob-chunk",
  source: `alias SUM = vec2f;\n${total64}${source}`,
  bindings: { logits: "read", targets: "read", running: "read_write" },
  params: { R: "u32", N: "u32", first: "u32", scale: "f32" },
  overrides: { START: 0 },
  workgroups: ({ R = 0 }) => linearWorkgroups(R, 1),
});
