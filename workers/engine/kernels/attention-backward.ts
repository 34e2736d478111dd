import source from "./attention-backward.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** Texts are short; this many others a row is the guess behind `work`. */
const TYPICAL_OTHERS = 128;

/** GRADIENT: which of the three gradients is computed; what to bind for each is said in the WGSL. */
export const ATTENTION_GRADIENT = { q: 0, k: 1, v: 2 } as const;

/** One gradient [R, heads * head_dim] of attention, from lse and delta [R * heads]. */
export const attentionBackward = defineVectorKernel({
  name: "attention-backward",
  source,
  bindings: {
    own: "read",
    own_pair: "read",
    other: "read",
    other_pair: "read",
    lse: "read",
    delta: "read",
    bound: "read",
    out: "read_write",
  },
  params: { R: "u32", heads: "u32", head_dim: "u32", scale: "f32" },
  overrides: { LANES: 32, GRADIENT: 0, ACCUMULATE: 0 },
  workgroups: ({ R = 0, heads = 0 }, _, { LANES = 1 }) => [Math.ceil(R / LANES), heads, 1],
  work: ({ R = 0, heads = 0, head_dim = 0 }) => 6 * R * heads * head_dim * Math.min(R, TYPICAL_OTHERS),
  worstWork: ({ R = 0, heads = 0, head_dim = 0 }) => 3 * R * R * heads * head_dim,
});
