import source from "./activation.wgsl?raw";
import { linearWorkgroups } from "./define";
import erf from "./erf.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** Values of the override KIND. */
export const ACTIVATION = { gelu: 0, geluTanh: 1, relu: 2 } as const;

/** y [N] = activation(x [N]). */
export const activation = defineVectorKernel({
  name: "activation",
  source: erf + source,
  bindings: { x: "read", y: "read_write" },
  params: { N: "u32" },
  overrides: { KIND: ACTIVATION.gelu },
  workgroups: ({ N = 0 }, width) => linearWorkgroups(N / width, 64),
});
