import { linearWorkgroups } from "./define";
import source from "./norm-partial.wgsl?raw";
import total64 from "./total64.wgsl?raw";
import { defineVectorKernel } from "./vector";

const CHUNK = 4096;

/** How many partial sums N elements make. */
export const normPartialCount = (N: number): number => Math.max(1, Math.ceil(N / CHUNK));

/** partial [first ..] = sums of squares of x [N] by chunk. Several ranges share one `partial` by their `first`. */
export const normPartial = defineVectorKernel({
  name: "norm-partial",
  source: `alias SUM = f32;\n${total64}${source}`,
  bindings: { x: "read", partial: "read_write" },
  params: { N: "u32", first: "u32" },
  overrides: { CHUNK },
  workgroups: ({ N = 0 }, _width, overrides) => linearWorkgroups(N, overrides.CHUNK ?? CHUNK),
});
