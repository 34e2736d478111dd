import { linearWorkgroups } from "./define";
import source from "./rope-backward.wgsl?raw";
import sinCos from "./sin-cos.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** d_qkv [R, heads * 3 * head_dim] (+)= from d_q, d_k, d_v [R, heads * head_dim], rotated back. */
export const ropeBackward = defineVectorKernel({
  name: "rope-backward",
  source: sinCos + source,
  bindings: {
    d_q: "read",
    d_k: "read",
    d_v: "read",
    position_ids: "read",
    inv_freq: "read",
    d_qkv: "read_write",
  },
  params: { R: "u32", heads: "u32", head_dim: "u32", F: "u32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ R = 0, heads = 0, head_dim = 0 }, width) => linearWorkgroups((R * heads * head_dim) / width, 64),
});
