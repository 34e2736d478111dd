import { defineKernel, linearWorkgroups } from "./define";
import source from "./occurrences.wgsl?raw";

/** links [R, 2] of ids [R]: 1 where the id occurs first, and the index of its next occurrence (R: none). */
export const occurrences = defineKernel({
  name: "occurrences",
  source,
  bindings: { ids: "read", links: "read_write" },
  params: { R: "u32" },
  workgroups: ({ R = 0 }) => linearWorkgroups(R, 64),
  work: ({ R = 0 }) => R * R,
});
