/** Walking over a vocabulary in chunks, so that logits [tokens, V] are never in memory. Shared by the ops that need logits. */

import type { Dims, OpCase, Step } from "./define";
import { matmulStep } from "./linear";
import { size } from "./sizes";

/** Most chunks the steps are declared for; larger vocabularies get longer chunks. */
const MOST_CHUNKS = 32;

/** Chunk of ordinary vocabularies: [tokens, 2048] logits are a few MB, and its weight rows fit every binding limit. */
const CHUNK = 2048;

/** Slices of weight rows begin at multiples of 256 bytes for f16 and any hidden size if chunks are multiples of this. */
const ALIGN = 128;

/** Vocabulary entries a chunk. The test cases set `chunk` so that a small vocabulary has several. */
export function chunkLength(dims: Dims): number {
  const V = size(dims, "V");
  const length = dims.chunk ?? Math.max(CHUNK, Math.ceil(V / MOST_CHUNKS / ALIGN) * ALIGN);
  return Math.min(length, V);
}

/** First entry of a chunk. */
export const first = (chunk: number) => (dims: Dims) => chunk * chunkLength(dims);
/** Number of entries of a chunk. */
export const length = (chunk: number) => (dims: Dims) =>
  Math.min(chunkLength(dims), size(dims, "V") - first(chunk)(dims));

type Parts = readonly ("weight" | "d_weight" | "logits" | "backward_logits")[];

/** A step of one chunk: left out where the vocabulary ends before it, binding only the chunk's part of `parts`. */
export function ofChunk(chunk: number, parts: Parts): Required<Pick<Step, "when" | "slice">> {
  return {
    when: (dims) => first(chunk)(dims) < size(dims, "V"),
    slice: (dims) => {
      const [H, N] = [size(dims, "H"), length(chunk)(dims)];
      return Object.fromEntries(
        parts.map((name) => [
          name,
          name === "weight" || name === "d_weight" ? [first(chunk)(dims) * H, N * H] : [0, size(dims, "R") * N],
        ]),
      );
    },
  };
}

export const chunks = Array.from({ length: MOST_CHUNKS }, (_, chunk) => chunk);

/** logits [R, N] of one chunk = h [R, H] · its rows of weight [V, H], transposed. */
export const chunkLogits = (chunk: number, out: "logits" | "backward_logits") =>
  matmulStep("NT", { a: "h", b: "weight", out }, { M: "R", N: length(chunk), K: "H" }, ofChunk(chunk, ["weight", out]));

/** d_h and d_weight from one chunk's gradient in backward_logits. */
export const chunkGradients = (chunk: number): readonly Step[] => [
  matmulStep(
    "NN",
    { a: "backward_logits", b: "weight", out: "d_h" },
    { M: "R", N: "H", K: length(chunk) },
    ofChunk(chunk, ["backward_logits", "weight"]),
  ),
  matmulStep(
    "TN",
    { a: "backward_logits", b: "h", out: "d_weight" },
    { M: length(chunk), N: "H", K: "R" },
    ofChunk(chunk, ["backward_logits", "d_weight"]),
  ),
];

/** Random targets, every third ignored, the first and the last entry of the vocabulary among them. */
export const someTargets: NonNullable<OpCase["inputs"]> = (dims, random) => {
  const V = size(dims, "V");
  return {
    targets: Float64Array.from({ length: size(dims, "R") }, (_, r) =>
      r % 3 === 2 ? -100 : r === 0 ? V - 1 : r === 1 ? 0 : Math.floor(random() * V),
    ),
  };
};

/** The logits [V] of row r in float64. */
export function rowLogits(h: Float64Array, weight: Float64Array, r: number, H: number, V: number): Float64Array {
  return Float64Array.from({ length: V }, (_, v) => {
    let sum = 0;
    for (let i = 0; i < H; i++) sum += (h[r * H + i] ?? Number.NaN) * (weight[v * H + i] ?? Number.NaN);
    return sum;
  });
}

/** log of the sum of exp, in float64. */
export function logSumExp(values: Float64Array): number {
  const peak = values.reduce((a, b) => Math.max(a, b));
  return peak + Math.log(values.reduce((sum, value) => sum + Math.exp(value - peak), 0));
}
