import { linearWorkgroups } from "./define";
import source from "./embedding-backward.wgsl?raw";
import { defineVectorKernel } from "./vector";

/**
 * d_weight [rows, H] (+)= d_y [R, H] at the rows ids [R] - first; links [R, 2] from `occurrences`. Other rows keep their
 * values.
 */
export const embeddingBackward = defineVectorKernel({
  name: "embedding-backward",
  source,
  bindings: { ids: "read", links: "read", d_y: "read", d_weight: "read_write" },
  params: { R: "u32", H: "u32", first: "u32", rows: "u32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ R = 0, H = 0 }, width) => linearWorkgroups((R * H) / width, 64),
});
