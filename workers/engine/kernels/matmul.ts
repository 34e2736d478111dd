/**
 * Matrix product out [M,N] = op(a) · op(b) (+ bias [N]) (+ out): four kernels over one set of bindings. Which one runs is
 * choose-matmul.ts' business.
 */

import { defineKernel, type KernelDefinition, type KernelSpec } from "./define";
import operands from "./matmul-operands.wgsl?raw";
import register from "./matmul-register.wgsl?raw";
import shuffle from "./matmul-shuffle.wgsl?raw";
import shuffleTn from "./matmul-shuffle-tn.wgsl?raw";
import tile from "./matmul-tile.wgsl?raw";

/** How a and b are read: vec4 where the length of their rows is a multiple of 4, else scalars. */
export interface Packing {
  readonly a: boolean;
  readonly b: boolean;
}

const prefix = ({ a, b }: Packing) => `alias A_PACK = ${a ? "vec4f" : "f32"};
alias B_PACK = ${b ? "vec4<WEIGHT>" : "WEIGHT"};
const A_PACKED = ${a};
const B_PACKED = ${b};
`;

interface Variant {
  readonly file: string;
  readonly source: string;
  readonly overrides: Readonly<Record<string, number>>;
  readonly requires?: KernelSpec["requires"];
  /** Rows and columns of out a workgroup computes. */
  readonly tile: (overrides: Readonly<Record<string, number>>) => readonly [rows: number, columns: number];
}

function define(variant: Variant, packing: Packing): KernelDefinition {
  return defineKernel({
    name: `${variant.file}.${packing.a ? "vec4" : "scalar"}.${packing.b ? "vec4" : "scalar"}`,
    source: `${prefix(packing)}${operands}\n${variant.source}`,
    bindings: { a: "read", b: "read", bias: "read", out: "read_write" },
    params: { M: "u32", N: "u32", K: "u32" },
    overrides: { TRANSPOSE_A: 0, TRANSPOSE_B: 0, BIAS: 0, ACCUMULATE: 0, ...variant.overrides },
    elements: { WEIGHT: "f32" },
    ...(variant.requires ? { requires: variant.requires } : {}),
    workgroups: ({ M = 0, N = 0 }, overrides) => {
      const [rows, columns] = variant.tile(overrides);
      return [Math.max(1, Math.ceil(N / columns)), Math.max(1, Math.ceil(M / rows)), 1];
    },
    work: ({ M = 0, N = 0, K = 0 }) => 2 * M * N * K,
  });
}

const TILE: Variant = {
  file: "matmul-tile",
  source: tile,
  overrides: { THREADS_X: 16, THREADS_Y: 8 },
  tile: ({ THREADS_X = 0, THREADS_Y = 0 }) => [8 * THREADS_Y, 4 * THREADS_X],
};

const REGISTER: Variant = {
  file: "matmul-register",
  source: register,
  overrides: { LANES: 8 },
  tile: ({ LANES = 0 }) => [8, 8 * LANES],
};

const SHUFFLE: Variant = {
  file: "matmul-shuffle",
  source: shuffle,
  overrides: { SUBGROUP: 8 },
  requires: ["subgroups"],
  tile: ({ SUBGROUP = 0 }) => [16, 4 * SUBGROUP],
};

const SHUFFLE_TN: Variant = { ...SHUFFLE, file: "matmul-shuffle-tn", source: shuffleTn };

const VEC4: Packing = { a: true, b: true };

/** Workgroup-memory tile: every layout and size. */
export const matmulTile = {
  vec4: define(TILE, VEC4),
  vec4Scalar: define(TILE, { a: true, b: false }),
  scalarVec4: define(TILE, { a: false, b: true }),
  scalar: define(TILE, { a: false, b: false }),
} as const;

/** No workgroup memory, no subgroups: every layout, b in vec4 rows. */
export const matmulRegister = {
  vec4: define(REGISTER, VEC4),
  scalarVec4: define(REGISTER, { a: false, b: true }),
} as const;

/** No workgroup memory, subgroup shuffles: NN and NT. */
export const matmulShuffle = define(SHUFFLE, VEC4);

/** The same for TN. */
export const matmulShuffleTn = define(SHUFFLE_TN, VEC4);
