import { defineKernel, linearWorkgroups } from "./define";
import source from "./text-sum.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** y [B]: the sum of x [R] over the tokens [first, end) of each text; first, end i32 [B]. One workgroup a text. */
export const textSum = defineKernel({
  name: "text-sum",
  source: `alias SUM = f32;\n${total64}${source}`,
  bindings: { x: "read", first: "read", end: "read", y: "read_write" },
  params: { B: "u32" },
  workgroups: ({ B = 0 }) => linearWorkgroups(B, 1),
});
