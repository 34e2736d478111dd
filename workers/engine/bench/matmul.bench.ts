/** Our matmul variants side by side: every candidate for sizes that training meets. Run by `nagi bench`. */

import type { Gpu } from "../gpu/gpu";
import { chooseMatmul, type MatmulLayout, type MatmulProblem, matmulCandidates } from "../kernels/choose-matmul";
import { timeMatmul } from "../kernels/tune-matmul";

export interface MatmulBenchRow {
  readonly layout: MatmulLayout;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly variant: string;
  /** Median of one product. */
  readonly milliseconds: number;
  readonly gflops: number;
  /** Whether chooseMatmul takes this one on this adapter. */
  readonly chosen: boolean;
}

/** [M, N, K]: the size of the notes, and the bundled model's widest layer at 512 tokens. */
const SIZES = [
  [512, 1024, 512],
  [512, 768, 192],
] as const;

/** The gradients of a layer have other sizes than its forward: out [tokens, outputs] from [tokens, inputs]. */
function problems(M: number, N: number, K: number): MatmulProblem[] {
  return [
    { layout: "NN", M, N: K, K: N },
    { layout: "NT", M, N, K },
    { layout: "TN", M: N, N: K, K: M },
  ];
}

export async function matmulBench(gpu: Gpu, say: (line: string) => void): Promise<MatmulBenchRow[]> {
  const rows: MatmulBenchRow[] = [];
  for (const problem of SIZES.flatMap(([M, N, K]) => problems(M, N, K))) {
    const { layout, M, N, K } = problem;
    const chosen = chooseMatmul(problem, gpu.capabilities);
    const chosenVariant = matmulCandidates(problem, gpu.capabilities).find(
      ({ kernel, overrides }) =>
        kernel === chosen.kernel && JSON.stringify(overrides) === JSON.stringify(chosen.overrides),
    )?.variant;
    say(`matmul ${layout} ${M} x ${N} x ${K}`);
    for (const { variant, milliseconds } of await timeMatmul(gpu, problem))
      rows.push({
        layout,
        M,
        N,
        K,
        variant,
        milliseconds,
        gflops: (2 * M * N * K) / milliseconds / 1e6,
        chosen: variant === chosenVariant,
      });
  }
  return rows;
}
