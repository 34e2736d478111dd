import { defineKernel } from "./define";
import philox from "./philox.wgsl?raw";
import shared from "./sample-softmax.wgsl?raw";
import source from "./sample-token.wgsl?raw";

/** The next token of B texts from logits [B, V] and partial; what it does to the texts is told in ops/sample-token.ts. */
export const sampleToken = defineKernel({
  name: "sample-token",
  source: philox + shared + source,
  bindings: {
    logits: "read",
    partial: "read",
    settings: "read",
    texts: "read_write",
    token: "read_write",
    position: "read_write",
    ids: "read_write",
    logprobs: "read_write",
  },
  params: { B: "u32", V: "u32", N: "u32", chunks: "u32", size: "u32", zero: "u32" },
  workgroups: ({ B = 0 }) => [Math.ceil(B / 8), 1, 1],
});
