import source from "./cache-rows.wgsl?raw";
import { linearWorkgroups } from "./define";
import { defineVectorKernel } from "./vector";

/** Rows k, v [R, W] into the caches' rows text [R] * length + position_ids [R]; those with text -1 go nowhere. */
export const cacheRows = defineVectorKernel({
  name: "cache-rows",
  source,
  bindings: {
    k: "read",
    v: "read",
    text: "read",
    position_ids: "read",
    k_cache: "read_write",
    v_cache: "read_write",
  },
  params: { R: "u32", W: "u32", length: "u32" },
  workgroups: ({ R = 0, W = 0 }, width) => linearWorkgroups((R * W) / width, 64),
});
