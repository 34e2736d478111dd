import { ACTIVATION } from "./activation";
import source from "./activation-backward.wgsl?raw";
import { linearWorkgroups } from "./define";
import erf from "./erf.wgsl?raw";
import { defineVectorKernel } from "./vector";

/** d_x [N] (+)= d_y [N] * activation'(x [N]). */
export const activationBackward = defineVectorKernel({
  name: "activation-backward",
  source: erf + source,
  bindings: { x: "read", d_y: "read", d_x: "read_write" },
  params: { N: "u32" },
  overrides: { KIND: ACTIVATION.gelu, ACCUMULATE: 0 },
  workgroups: ({ N = 0 }, width) => linearWorkgroups(N / width, 64),
});
