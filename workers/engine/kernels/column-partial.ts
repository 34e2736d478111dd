import source from "./column-partial.wgsl?raw";
import { linearWorkgroups } from "./define";
import { defineVectorKernel } from "./vector";

/** Rows that one lane adds up. */
export const COLUMN_PARTIAL_ROWS = 32;

/** partial [ceil(R / 32), H]: sums of 32 rows each of x [R, H]. First stage of a sum over many rows; column-sum is the last. */
export const columnPartial = defineVectorKernel({
  name: "column-partial",
  source,
  bindings: { x: "read", partial: "read_write" },
  params: { R: "u32", H: "u32" },
  workgroups: ({ R = 0, H = 0 }, width) => linearWorkgroups(Math.ceil(R / COLUMN_PARTIAL_ROWS) * (H / width), 64),
});
