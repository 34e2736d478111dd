import source from "./attention-forward.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** Texts are short; this many keys a query is the guess behind `work`. */
const TYPICAL_KEYS = 128;

/** y [R, heads * head_dim] and lse [R * heads] from q, k, v [R, heads * head_dim] and segment_start i32 [R]. */
export const attentionForward = defineVectorKernel({
  name: "attention-forward",
  source,
  bindings: { q: "read", k: "read", v: "read", segment_start: "read", y: "read_write", lse: "read_write" },
  params: { R: "u32", heads: "u32", head_dim: "u32", scale: "f32" },
  overrides: { LANES: 32 },
  workgroups: ({ R = 0, heads = 0 }, _, { LANES = 1 }) => [Math.ceil(R / LANES), heads, 1],
  work: ({ R = 0, heads = 0, head_dim = 0 }) => 4 * R * heads * head_dim * Math.min(R, TYPICAL_KEYS),
  // One text as long as the stream: half of all pairs.
  worstWork: ({ R = 0, heads = 0, head_dim = 0 }) => 2 * R * R * heads * head_dim,
});
