import source from "./add.wgsl?raw";
import { linearWorkgroups } from "./define";
import { defineVectorKernel } from "./vector";

/** y [N] = a [N] + b [N]. */
export const add = defineVectorKernel({
  name: "add",
  source,
  bindings: { a: "read", b: "read", y: "read_write" },
  params: { N: "u32" },
  workgroups: ({ N = 0 }, width) => linearWorkgroups(N / width, 64),
});
