import { defineKernel, linearWorkgroups } from "./define";
import source from "./lm-loss-chunk.wgsl?raw";

/** Folds logits [R, N] of the vocabulary entries from `first` on into running [R, 3]; targets i32 [R]. */
export const lmLossChunk = defineKernel({
  name: "lm-loss-chunk",
  source,
  bindings: { logits: "read", targets: "read", running: "read_write" },
  params: { R: "u32", N: "u32", first: "u32" },
  overrides: { START: 0 },
  workgroups: ({ R = 0 }) => linearWorkgroups(R, 1),
});
