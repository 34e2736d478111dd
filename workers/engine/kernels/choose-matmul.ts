/**
 * Which matmul kernel for which sizes on which adapter: a pure function of both, so that plans and tests are repeatable.
 * An autotuner may time `matmulCandidates` and keep its choice in a table (`Capabilities.tuned`); without one the static
 * choice holds. All candidates add up in the same order with fused multiply-adds: which one runs changes no bit of a result.
 */

import type { ElementType, KernelDefinition } from "./define";
import { matmulRegister, matmulShuffle, matmulShuffleTn, matmulTile } from "./matmul";

/** NN: a [M,K], b [K,N]. NT: a [M,K], b [N,K]. TN: a [K,M], b [K,N]. */
export type MatmulLayout = "NN" | "NT" | "TN";

export interface MatmulProblem {
  readonly layout: MatmulLayout;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Adds bias [N]. */
  readonly bias?: boolean;
  /** Element of b. */
  readonly weight?: ElementType;
}

/** The part of the adapter's capabilities that matters here. */
export interface MatmulCapabilities {
  readonly subgroups: boolean;
  readonly subgroupSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly cpu: boolean;
  /** Measured choices: `matmulKey(problem)` -> name of a candidate. Other sizes take the nearest one's. */
  readonly tuned?: Readonly<Record<string, string>>;
}

export interface MatmulChoice {
  readonly kernel: KernelDefinition;
  readonly overrides: Readonly<Record<string, number>>;
  readonly elements: Readonly<Record<string, ElementType>>;
}

export interface MatmulCandidate extends MatmulChoice {
  /** Names the variant in a tuning table and in benchmarks: "tile-64x64", "register-8", "shuffle". */
  readonly variant: string;
}

/** Key of a tuning table. Sizes are rounded up to powers of two: neighbours behave alike. */
export function matmulKey({ layout, M, N, K, weight = "f32" }: MatmulProblem): string {
  const size = (n: number) => 2 ** Math.ceil(Math.log2(n));
  return `${layout} ${size(M)}x${size(N)}x${size(K)} ${weight}`;
}

/** Threads of the workgroup-memory kernel by tile name. 8 rows x 4 columns a thread. */
const TILES: Readonly<Record<string, readonly [x: number, y: number]>> = {
  "tile-64x64": [16, 8],
  "tile-32x32": [8, 4],
};

/** Every variant that is right for these sizes, the workgroup-memory tiles first. */
export function matmulCandidates(problem: MatmulProblem, capabilities: MatmulCapabilities): readonly MatmulCandidate[] {
  const { layout, M, N, K } = problem;
  const rows = { a: layout === "TN" ? M : K, b: layout === "NT" ? K : N };
  const packing = { a: rows.a % 4 === 0, b: rows.b % 4 === 0 };
  const candidates: MatmulCandidate[] = [];
  const add = (variant: string, kernel: KernelDefinition, overrides: Readonly<Record<string, number>>) =>
    candidates.push({
      variant,
      kernel,
      overrides: {
        TRANSPOSE_A: layout === "TN" ? 1 : 0,
        TRANSPOSE_B: layout === "NT" ? 1 : 0,
        BIAS: problem.bias === true ? 1 : 0,
        ...overrides,
      },
      elements: { WEIGHT: problem.weight ?? "f32" },
    });

  const tile = packing.a
    ? packing.b
      ? matmulTile.vec4
      : matmulTile.vec4Scalar
    : packing.b
      ? matmulTile.scalarVec4
      : matmulTile.scalar;
  for (const [variant, [x, y]] of Object.entries(TILES)) add(variant, tile, { THREADS_X: x, THREADS_Y: y });

  if (packing.b) {
    const register = packing.a ? matmulRegister.vec4 : matmulRegister.scalarVec4;
    for (const lanes of capabilities.cpu ? [8] : [32, 64]) add(`register-${lanes}`, register, { LANES: lanes });
  }
  const { subgroups, subgroupSize } = capabilities;
  if (packing.a && packing.b && subgroups && subgroupSize >= 4 && subgroupSize <= 64)
    add("shuffle", layout === "TN" ? matmulShuffleTn : matmulShuffle, { SUBGROUP: subgroupSize });
  return candidates;
}

/** The measured choice for the nearest sizes of the same layout and element. */
function tunedVariant(problem: MatmulProblem, tuned: Readonly<Record<string, string>>): string | undefined {
  const exact = tuned[matmulKey(problem)];
  if (exact !== undefined) return exact;
  const parse = (key: string) => {
    const [layout, sizes = "", element] = key.split(" ");
    return { kind: `${layout} ${element}`, sizes: sizes.split("x").map((size) => Math.log2(Number(size))) };
  };
  const wanted = parse(matmulKey(problem));
  let nearest: { readonly distance: number; readonly variant: string } | undefined;
  for (const [key, variant] of Object.entries(tuned)) {
    const { kind, sizes } = parse(key);
    if (kind !== wanted.kind) continue;
    const distance = sizes.reduce((sum, size, axis) => sum + Math.abs(size - (wanted.sizes[axis] ?? 0)), 0);
    if (!nearest || distance < nearest.distance) nearest = { distance, variant };
  }
  return nearest?.variant;
}

/** Tiles below which a GPU is left idle by the larger tile. */
const FEW_TILES = 128;

/**
 * The kernel for a problem. Software adapters: shuffles (below 8 lanes they lose to registers), else registers: their
 * workgroup memory is an ordinary buffer and every load is dear. GPUs: workgroup-memory tiles, small ones where there is
 * little to share out.
 */
export function chooseMatmul(problem: MatmulProblem, capabilities: MatmulCapabilities): MatmulChoice {
  const candidates = matmulCandidates(problem, capabilities);
  const named = (variant: string | undefined) => candidates.find((candidate) => candidate.variant === variant);
  const large = Math.ceil(problem.M / 64) * Math.ceil(problem.N / 64) >= FEW_TILES;
  const static_ = capabilities.cpu
    ? ((capabilities.subgroupSize >= 8 ? named("shuffle") : undefined) ?? named("register-8") ?? named("tile-32x32"))
    : named(large ? "tile-64x64" : "tile-32x32");
  const tuned = capabilities.tuned && tunedVariant(problem, capabilities.tuned);
  const choice = named(tuned) ?? static_;
  if (choice === undefined) throw new Error(`no matmul kernel for ${matmulKey(problem)}`);
  return { kernel: choice.kernel, overrides: choice.overrides, elements: choice.elements };
}
