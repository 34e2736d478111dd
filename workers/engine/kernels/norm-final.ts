import { defineKernel } from "./define";
import source from "./norm-final.wgsl?raw";

/** norm f32 [2] = global L2 norm and clip factor, from partial [count]. One workgroup. */
export const normFinal = defineKernel({
  name: "norm-final",
  source,
  bindings: { partial: "read", norm: "read_write" },
  params: { count: "u32", max_grad_norm: "f32" },
  workgroups: () => [1, 1, 1],
});
