import source from "./column-sum.wgsl?raw";
import { linearWorkgroups } from "./define";
import { defineVectorKernel } from "./vector";

/** y [H] (+)= sum over rows first .. first + rows - 1 of x [*, H]. One lane walks all rows: meant for few rows. */
export const columnSum = defineVectorKernel({
  name: "column-sum",
  source,
  bindings: { x: "read", y: "read_write" },
  params: { first: "u32", rows: "u32", H: "u32" },
  overrides: { ACCUMULATE: 0 },
  workgroups: ({ H = 0 }, width) => linearWorkgroups(H / width, 64),
});
