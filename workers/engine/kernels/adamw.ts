import source from "./adamw.wgsl?raw";
import { linearWorkgroups } from "./define";
import { defineVectorKernel } from "./vector";

/**
 * AdamW on weight, exp_avg, exp_avg_sq [N] from grad [N]. scalars f32 [4]: lr / (1 - beta1^t), sqrt(1 - beta2^t),
 * 1 - lr * weight_decay, unused; computed in float64 on the host. norm f32 [2]: gradient norm, clip factor.
 */
export const adamw = defineVectorKernel({
  name: "adamw",
  source,
  bindings: {
    weight: "read_write",
    grad: "read",
    exp_avg: "read_write",
    exp_avg_sq: "read_write",
    scalars: "read",
    norm: "read",
  },
  params: { N: "u32", beta2: "f32", one_minus_beta1: "f32", one_minus_beta2: "f32", eps: "f32" },
  workgroups: ({ N = 0 }, width) => linearWorkgroups(N / width, 64),
});
