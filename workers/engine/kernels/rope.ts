import { linearWorkgroups } from "./define";
import source from "./rope.wgsl?raw";
import sinCos from "./sin-cos.wgsl?raw";
import { defineVectorKernel } from "./vector";

/**
 * q, k, v [R, heads * head_dim] of qkv [R, heads * 3 * head_dim]; the first 2F dims of each head of q and k rotated by
 * position_ids [R] times inv_freq [F]. No rotation where 2F exceeds head_dim.
 */
export const rope = defineVectorKernel({
  name: "rope",
  source: sinCos + source,
  bindings: { qkv: "read", position_ids: "read", inv_freq: "read", q: "read_write", k: "read_write", v: "read_write" },
  params: { R: "u32", heads: "u32", head_dim: "u32", F: "u32" },
  workgroups: ({ R = 0, heads = 0, head_dim = 0 }, width) => linearWorkgroups((R * heads * head_dim) / width, 64),
});
