import { defineKernel } from "./define";
import source from "./norm-final.wgsl?raw";
import total64 from "./total64.wgsl?raw";

/** norm f32 [2] = global L2 norm and clip factor, from partial [count]. One workgroup. */
export const normFinal = defineKernel({
  name: "norm-final",
  source: `alias SUM = f32;\n${total64}${source}`,
  bindings: { partial: "read", norm: "read_write" },
  params: { count: "u32", max_grad_norm: "f32" },
  workgroups: () => [1, 1, 1],
});
