/** Finds the fastest matmul for an adapter by trying: the table it returns is plain data that can be kept. */

import { timeDispatches } from "../gpu/autotune";
import type { Dispatch, Gpu } from "../gpu/gpu";
import { type MatmulProblem, matmulCandidates, matmulKey } from "./choose-matmul";
import type { ElementType } from "./define";

/** A layer of 512 tokens forward (NT), and the gradients of its input (NN) and of its weight (TN). */
function layer(outputs: number, inputs: number, weight: ElementType): MatmulProblem[] {
  const forward = [
    { layout: "NT", M: 512, N: outputs, K: inputs, weight },
    { layout: "NN", M: 512, N: inputs, K: outputs, weight },
  ] as const;
  // The weight's gradient is a product of f32s, and nobody wants that of an f16 weight.
  return weight === "f16" ? [...forward] : [...forward, { layout: "TN", M: outputs, N: inputs, K: 512 }];
}

/** What is measured on an adapter: narrow and wide layers, whose winners the sizes near them take. */
export function tunedProblems({ f16 }: { readonly f16: boolean }): readonly MatmulProblem[] {
  const sizes = [
    [256, 256],
    [768, 768],
    [3072, 768],
  ] as const;
  const elements: readonly ElementType[] = f16 ? ["f32", "f16"] : ["f32"];
  return elements.flatMap((weight) => sizes.flatMap(([outputs, inputs]) => layer(outputs, inputs, weight)));
}

export interface MatmulTiming {
  readonly problem: MatmulProblem;
  /** Name of the candidate. */
  readonly variant: string;
  /** Median of one dispatch. */
  readonly milliseconds: number;
}

/** Times every candidate for a problem on buffers of its own. Rejects with gpu.limit, gpu.out_of_memory, gpu.lost. */
export async function timeMatmul(gpu: Gpu, problem: MatmulProblem, rounds?: number): Promise<MatmulTiming[]> {
  const { M, N, K, weight = "f32" } = problem;
  const a = gpu.createBuffer("matmul a", 4 * M * K);
  const b = gpu.createBuffer("matmul b", 4 * Math.ceil((N * K * (weight === "f16" ? 2 : 4)) / 4));
  const bias = gpu.createBuffer("matmul bias", 4 * N);
  const out = gpu.createBuffer("matmul out", 4 * M * N);
  try {
    const candidates = matmulCandidates(problem, gpu.capabilities);
    const dispatches: Dispatch[] = [];
    for (const { variant, kernel, overrides, elements } of candidates)
      dispatches.push(
        await gpu.dispatch({
          label: variant,
          kernel,
          overrides,
          elements,
          bindings: { a, b, bias, out },
          params: { M, N, K },
        }),
      );
    const times = await timeDispatches(gpu, dispatches, rounds === undefined ? {} : { rounds });
    return candidates.map(({ variant }, index) => ({ problem, variant, milliseconds: times[index] ?? Number.NaN }));
  } finally {
    for (const slice of [a, b, bias, out]) gpu.freeBuffer(slice);
  }
}

/**
 * The fastest candidate of each problem, by `matmulKey`: give it to plans as `tuned` in the capabilities. Problems that
 * share a key are timed once.
 */
export async function tuneMatmul(gpu: Gpu, problems: readonly MatmulProblem[]): Promise<Record<string, string>> {
  const table: Record<string, string> = {};
  for (const problem of problems) {
    const key = matmulKey(problem);
    if (key in table) continue;
    const timings = await timeMatmul(gpu, problem);
    const best = timings.reduce((a, b) => (b.milliseconds < a.milliseconds ? b : a));
    table[key] = best.variant;
  }
  return table;
}
