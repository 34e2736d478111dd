import { linearWorkgroups } from "./define";
import source from "./place-columns.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** y [R, W], its columns from `first` on = x [R, N]. Other columns keep their values. */
export const placeColumns = defineVectorKernel({
  name: "place-columns",
  source,
  bindings: { x: "read", y: "read_write" },
  params: { R: "u32", N: "u32", W: "u32", first: "u32" },
  workgroups: ({ R = 0, N = 0 }, width) => linearWorkgroups((R * N) / width, 64),
});
