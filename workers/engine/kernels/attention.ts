/**
 * Causal attention inside the texts of a flat stream, forward and backward: one source for each in two forms. Through
 * workgroup memory for every width (GPUs), or by subgroup shuffles for vec4 rows (software adapters, whose workgroup memory
 * is no faster than a buffer).
 */

import shared from "./attention.wgsl?raw";
import backwardKv from "./attention-backward-kv.wgsl?raw";
import backwardQ from "./attention-backward-q.wgsl?raw";
import forward from "./attention-forward.wgsl?raw";
import shuffle from "./attention-shuffle.wgsl?raw";
import tile from "./attention-tile.wgsl?raw";
import type { KernelDefinition, KernelSpec } from "./define";
import { defineVectorKernel } from "./vector";

/** Longest head. */
export const MOST_HEAD_DIM = 128;

/** Rows, others and dims a workgroup of the workgroup-memory form. */
const TILE = 32;

/** Texts are short: so many tokens are the guess behind `work`. */
const TYPICAL_TEXT = 128;

/** Rows a subgroup of the other. */
const SHUFFLE_ROWS = 8;

export interface AttentionKernel {
  readonly tile: KernelDefinition;
  readonly tileScalar: KernelDefinition;
  readonly shuffle: KernelDefinition;
}

type AttentionSpec = Pick<KernelSpec, "name" | "source" | "bindings" | "overrides"> & {
  /** Matrix products a pair of rows takes part in. */
  readonly products: number;
};

function define({ name, source, bindings, overrides, products }: AttentionSpec): AttentionKernel {
  const form = (kind: "tile" | "shuffle") =>
    defineVectorKernel({
      name: `${name}-${kind}`,
      source: `${shared}\n${kind === "tile" ? tile : shuffle}\n${source}`,
      bindings,
      params: { R: "u32", heads: "u32", head_dim: "u32", scale: "f32" },
      overrides: { ...(kind === "shuffle" ? { SUBGROUP: 8 } : {}), ...overrides },
      ...(kind === "shuffle" ? { requires: ["subgroups"] } : {}),
      workgroups: ({ R = 0, heads = 0, head_dim = 0 }, _width, { SUBGROUP = 0 }) =>
        kind === "tile"
          ? [Math.ceil(R / TILE), heads, Math.ceil(head_dim / TILE)]
          : [Math.ceil(R / SHUFFLE_ROWS), heads, Math.ceil(head_dim / (4 * SUBGROUP))],
      // Every product has half the pairs of a text.
      work: ({ R = 0, heads = 0, head_dim = 0 }) => products * R * Math.min(R, TYPICAL_TEXT) * heads * head_dim,
      worstWork: ({ R = 0, heads = 0, head_dim = 0 }) => products * R * R * heads * head_dim,
    });
  const { vec4, scalar } = form("tile");
  return { tile: vec4, tileScalar: scalar, shuffle: form("shuffle").vec4 };
}

/** y [R, heads * head_dim] and lse [R * heads] from q, k, v [R, heads * head_dim] and segment_start i32 [R]. */
export const attentionForward = define({
  name: "attention-forward",
  source: forward,
  bindings: { q: "read", k: "read", v: "read", segment_start: "read", y: "read_write", lse: "read_write" },
  products: 2,
});

const backward = { q: "read", k: "read", v: "read", d_y: "read", statistics: "read" } as const;

/** d_q [R, heads * head_dim]; statistics [R * heads, 2]: lse and delta. */
export const attentionBackwardQ = define({
  name: "attention-backward-q",
  source: backwardQ,
  bindings: { ...backward, segment_start: "read", d_q: "read_write" },
  overrides: { ACCUMULATE: 0 },
  products: 3,
});

/** d_k and d_v [R, heads * head_dim], likewise. */
export const attentionBackwardKv = define({
  name: "attention-backward-kv",
  source: backwardKv,
  bindings: { ...backward, segment_end: "read", d_k: "read_write", d_v: "read_write" },
  overrides: { ACCUMULATE: 0 },
  products: 4,
});

/** The form for a head and an adapter, with its overrides. @param head_dim 1 to MOST_HEAD_DIM. */
export function chooseAttention(
  { tile, tileScalar, shuffle }: AttentionKernel,
  head_dim: number,
  {
    cpu,
    subgroups,
    subgroupSize,
  }: { readonly cpu: boolean; readonly subgroups: boolean; readonly subgroupSize: number },
): { readonly kernel: KernelDefinition; readonly overrides: Readonly<Record<string, number>> } {
  if (head_dim > MOST_HEAD_DIM) throw new RangeError(`a head of ${head_dim} dims: at most ${MOST_HEAD_DIM}`);
  const packed = head_dim % 4 === 0;
  if (cpu && packed && subgroups && subgroupSize >= 4 && subgroupSize <= 64)
    return { kernel: shuffle, overrides: { SUBGROUP: subgroupSize } };
  return { kernel: packed ? tile : tileScalar, overrides: {} };
}
