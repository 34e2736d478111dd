/** Our matrix products at the sizes that the measured models meet, and the candidates behind them. */

import { Random } from "../../../src/shared/stats/random";
import type { BufferSlice, Gpu } from "../gpu/gpu";
import { chooseMatmul, type MatmulChoice, type MatmulProblem, matmulCandidates } from "../kernels/choose-matmul";
import type { Contender } from "./measure";

export interface MatmulCase extends Pick<MatmulProblem, "layout" | "M" | "N" | "K"> {
  /** "h256 MLP": the model and the layer. */
  readonly name: string;
}

/**
 * A layer out [tokens, outputs] = x [tokens, inputs] · weightᵀ: its forward pass (NT), the gradient of x (NN) and that of
 * the weight (TN).
 */
function layer(name: string, tokens: number, outputs: number, inputs: number): MatmulCase[] {
  return [
    { name, layout: "NT", M: tokens, N: outputs, K: inputs },
    { name, layout: "NN", M: tokens, N: inputs, K: outputs },
    { name, layout: "TN", M: outputs, N: inputs, K: tokens },
  ];
}

/** The widest layers of the two step cases and of open-calm-small, and the output embeddings of the former. */
export const MATMUL_CASES: readonly MatmulCase[] = [
  ...layer("h128 MLP", 512, 512, 128),
  ...layer("h128 head", 512, 4096, 128).slice(0, 1),
  ...layer("h256 MLP", 1024, 1024, 256),
  ...layer("h256 head", 1024, 8192, 256).slice(0, 1),
  ...layer("open-calm-small MLP", 512, 3072, 768),
];

export const matmulFlops = ({ M, N, K }: Pick<MatmulProblem, "M" | "N" | "K">): number => 2 * M * N * K;

/** GFLOP/s of a product that took so long. */
export const gflops = (problem: Pick<MatmulProblem, "M" | "N" | "K">, milliseconds: number): number =>
  matmulFlops(problem) / milliseconds / 1e6;

/** Operands of a product, row-major: a [M,K] (TN: [K,M]), b [K,N] (NT: [N,K]). */
export interface MatmulInput {
  readonly a: Float32Array<ArrayBuffer>;
  readonly b: Float32Array<ArrayBuffer>;
  readonly aShape: readonly [number, number];
  readonly bShape: readonly [number, number];
}

export function matmulInput({ layout, M, N, K }: MatmulCase): MatmulInput {
  const random = Random.seeded(M + N + K);
  const draw = (count: number) => Float32Array.from({ length: count }, () => random.uniform() - 0.5);
  return {
    a: draw(M * K),
    b: draw(K * N),
    aShape: layout === "TN" ? [K, M] : [M, K],
    bShape: layout === "NT" ? [N, K] : [K, N],
  };
}

/** Element [row, column] of the product in float64. */
export function matmulElement(problem: MatmulCase, { a, b }: MatmulInput, row: number, column: number): number {
  const { layout, M, N, K } = problem;
  let sum = 0;
  for (let k = 0; k < K; k++) {
    const left = layout === "TN" ? a[k * M + row] : a[row * K + k];
    const right = layout === "NT" ? b[column * K + k] : b[k * N + column];
    sum += (left ?? Number.NaN) * (right ?? Number.NaN);
  }
  return sum;
}

export interface MatmulContender extends Contender {
  /** The product [M,N], of a run of its own. */
  output(): Promise<Float32Array>;
  dispose(): void;
}

/** Our kernels for one product, on the same buffers. */
export interface OurMatmuls {
  /** The kernel that a plan takes for these sizes on this adapter: its candidate's name, and itself as "ours". */
  readonly variant: string;
  readonly ours: MatmulContender;
  /** Every kernel that could, by its candidate's name. */
  readonly candidates: readonly MatmulContender[];
  dispose(): void;
}

/** Uploads the operands and prepares every candidate. Rejects with gpu.limit, gpu.out_of_memory. */
export async function ourMatmuls(gpu: Gpu, problem: MatmulCase, input: MatmulInput): Promise<OurMatmuls> {
  const { M, N, K } = problem;
  const slices: BufferSlice[] = [];
  const buffer = (label: string, elements: number) => {
    const slice = gpu.createBuffer(`matmul ${label}`, 4 * elements);
    slices.push(slice);
    return slice;
  };
  const bindings = { a: buffer("a", M * K), b: buffer("b", K * N), bias: buffer("bias", N), out: buffer("out", M * N) };
  gpu.write(bindings.a, input.a);
  gpu.write(bindings.b, input.b);
  const contender = async (name: string, { kernel, overrides, elements }: MatmulChoice): Promise<MatmulContender> => {
    const params = { M, N, K };
    const dispatch = await gpu.dispatch({ label: `matmul ${name}`, kernel, overrides, elements, bindings, params });
    return {
      name,
      enqueue: () => void gpu.submit([dispatch]),
      finished: () => gpu.read({ ...bindings.bias, size: 4 }),
      output: async () => {
        const [read] = gpu.submit([dispatch], [bindings.out]);
        return new Float32Array((await read) ?? new ArrayBuffer(0));
      },
      dispose: () => undefined,
    };
  };
  const chosen = chooseMatmul(problem, gpu.capabilities);
  const all = matmulCandidates(problem, gpu.capabilities);
  const same = all.find(
    ({ kernel, overrides }) =>
      kernel === chosen.kernel && JSON.stringify(overrides) === JSON.stringify(chosen.overrides),
  );
  const candidates: MatmulContender[] = [];
  for (const candidate of all) candidates.push(await contender(candidate.variant, candidate));
  return {
    variant: same?.variant ?? chosen.kernel.name,
    ours: await contender("ours", chosen),
    candidates,
    dispose: () => {
      for (const slice of slices) gpu.freeBuffer(slice);
    },
  };
}
