import { linearWorkgroups } from "./define";
import source from "./gather-rows.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** y [B, H] = rows index [B] of a table of which x [rows, H] (f32 or f16) are those from `first` on. Other rows of y stay. */
export const gatherRows = defineVectorKernel({
  name: "gather-rows",
  source,
  bindings: { x: "read", index: "read", y: "read_write" },
  params: { B: "u32", H: "u32", first: "u32", rows: "u32" },
  elements: { WEIGHT: "f32" },
  workgroups: ({ B = 0, H = 0 }, width) => linearWorkgroups((B * H) / width, 64),
});
