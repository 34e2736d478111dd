import source from "./decode-attention.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** Texts are short; this many keys a query is the guess behind `work`. */
const TYPICAL_KEYS = 64;

/**
 * y [B, heads * head_dim] of one query a text: q likewise, caches with rows of that width, text b's from row b * length on,
 * its last key at position [B]. LANES is at least head_dim / width.
 */
export const decodeAttention = defineVectorKernel({
  name: "decode-attention",
  source,
  bindings: { q: "read", k_cache: "read", v_cache: "read", position: "read", y: "read_write" },
  params: { heads: "u32", head_dim: "u32", length: "u32", B: "u32", scale: "f32" },
  overrides: { LANES: 64 },
  workgroups: ({ B = 0, heads = 0 }) => [heads, B, 1],
  work: ({ B = 0, heads = 0, head_dim = 0 }) => 4 * B * heads * head_dim * TYPICAL_KEYS,
});
