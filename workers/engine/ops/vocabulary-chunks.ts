/**
 * Walking over a vocabulary in chunks, so that large logits [tokens, V] are never in memory. Where they are small they are
 * one chunk, which the backward pass takes from the forward pass instead of computing it again. Shared by the ops that need
 * logits.
 */

import type { Dims, HostTensors, OpCase, Step, TensorSpec } from "./define";
import { matmulStep } from "./linear";
import { size, tensor } from "./sizes";

/** Most chunks the steps are declared for; larger vocabularies get longer chunks. */
const MOST_CHUNKS = 32;

/** Chunk of ordinary vocabularies: [tokens, 2048] logits are a few MB, and its weight rows fit every binding limit. */
const CHUNK = 2048;

/** Slices of weight rows begin at multiples of 256 bytes for f16 and any hidden size if chunks are multiples of this. */
const ALIGN = 128;

/** Chunks of a vocabulary that no binding limit shortens. */
const ordinary = (V: number) => Math.max(CHUNK, Math.ceil(V / MOST_CHUNKS / ALIGN) * ALIGN);

/**
 * Rows of each part of a matrix with one row a vocabulary entry that is too large for one binding: whole chunks, so that
 * none lies in two parts. undefined where it cannot be stored so that it fits.
 * @param V rows. @param most rows that fit one binding.
 */
export function vocabularyPart(V: number, most: number): number | undefined {
  const chunk = ordinary(V);
  const rows = most >= chunk ? Math.floor(most / chunk) * chunk : Math.floor(most / ALIGN) * ALIGN;
  return rows > 0 && Math.ceil(V / Math.min(rows, chunk)) <= MOST_CHUNKS ? rows : undefined;
}

/** Logits that are kept from the forward to the backward pass: 64 MiB, half of what every adapter binds. */
const KEPT = 2 ** 24;

/** Beyond such a vocabulary logits outweigh all else that is kept of a token, however few the tokens. */
const KEPT_VOCABULARY = 2 ** 14;

/** Whether all logits are one chunk that outlives the forward pass. */
export function kept(dims: Dims): boolean {
  const V = size(dims, "V");
  return V <= KEPT_VOCABULARY && size(dims, "R") * V <= KEPT && (dims.chunk ?? V) >= V && (dims.part ?? V) >= V;
}

/** Vocabulary entries a chunk. The test cases set `chunk` so that a small vocabulary has several. */
export function chunkLength(dims: Dims): number {
  const V = size(dims, "V");
  if (kept(dims)) return V;
  return Math.min(dims.chunk ?? ordinary(V), dims.part ?? V, V);
}

/** First entry of a chunk. */
export const first = (chunk: number) => (dims: Dims) => chunk * chunkLength(dims);
/** Number of entries of a chunk. */
export const length = (chunk: number) => (dims: Dims) =>
  Math.min(chunkLength(dims), size(dims, "V") - first(chunk)(dims));

type Parts = readonly ("weight" | "d_weight" | "lora_b" | "d_lora_b" | "logits")[];

/** Columns of a tensor that has one row a vocabulary entry. */
const WIDTHS: Readonly<Record<string, string>> = { weight: "H", d_weight: "H", lora_b: "K", d_lora_b: "K" };

/** Inputs of the LoRA side branch of the output matrix: logits += z [R, K] · lora_b [V, K], transposed. */
export const sideInputs: Readonly<Record<string, TensorSpec>> = {
  z: { dims: ["R", "K"] },
  lora_b: { dims: ["V", "K"] },
};

/** A step of one chunk: left out where the vocabulary ends before it, binding only the chunk's part of `parts`. */
export function ofChunk(chunk: number, parts: Parts): Required<Pick<Step, "when" | "slice">> {
  return {
    when: (dims) => first(chunk)(dims) < size(dims, "V"),
    slice: (dims) => {
      const N = length(chunk)(dims);
      return Object.fromEntries(
        parts.map((name) => {
          const width = WIDTHS[name];
          if (width === undefined) return [name, [0, size(dims, "R") * N]];
          return [name, [first(chunk)(dims) * size(dims, width), N * size(dims, width)]];
        }),
      );
    },
  };
}

export const chunks = Array.from({ length: MOST_CHUNKS }, (_, chunk) => chunk);

/** logits [R, N] of one chunk = h [R, H] · its rows of weight [V, H], transposed; `lora`: with the side branch. */
export const chunkLogits = (chunk: number, lora: boolean): readonly Step[] => [
  matmulStep(
    "NT",
    { a: "h", b: "weight", out: "logits" },
    { M: "R", N: length(chunk), K: "H" },
    ofChunk(chunk, ["weight", "logits"]),
  ),
  ...(lora
    ? [
        matmulStep(
          "NT",
          { a: "z", b: "lora_b", out: "logits" },
          { M: "R", N: length(chunk), K: "K" },
          { ...ofChunk(chunk, ["lora_b", "logits"]), add: true },
        ),
      ]
    : []),
];

/** The same in the backward pass: nothing to do where the forward pass left them. */
export const chunkLogitsAgain = (chunk: number, lora: boolean): readonly Step[] =>
  chunkLogits(chunk, lora).map((step) => ({ ...step, when: (dims) => !kept(dims) && step.when?.(dims) !== false }));

/** Gradients of `by` [R, width] and of its rows of `matrix` [V, width] from one chunk's gradient in logits. */
const gradients = (chunk: number, by: "h" | "z", matrix: "weight" | "lora_b"): readonly Step[] => {
  const width = WIDTHS[matrix] ?? "";
  return [
    matmulStep(
      "NN",
      { a: "logits", b: matrix, out: `d_${by}` },
      { M: "R", N: width, K: length(chunk) },
      ofChunk(chunk, ["logits", matrix]),
    ),
    matmulStep(
      "TN",
      { a: "logits", b: by, out: `d_${matrix}` },
      { M: length(chunk), N: width, K: "R" },
      ofChunk(chunk, ["logits", `d_${matrix}`]),
    ),
  ];
};

/** d_h and d_weight (`lora`: d_z and d_lora_b too) from one chunk's gradient in logits. */
export const chunkGradients = (chunk: number, lora: boolean): readonly Step[] => [
  ...gradients(chunk, "h", "weight"),
  ...(lora ? gradients(chunk, "z", "lora_b") : []),
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

/** The logits [V] of row r in float64, the side branch included where there is one. */
export function rowLogits(inputs: HostTensors, dims: Dims, r: number): Float64Array {
  const product = (by: string, matrix: string, width: number) => {
    const [x, w] = [tensor(inputs, by), tensor(inputs, matrix)];
    return (v: number) => {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += (x[r * width + i] ?? Number.NaN) * (w[v * width + i] ?? Number.NaN);
      return sum;
    };
  };
  const main = product("h", "weight", size(dims, "H"));
  const side = dims.K === undefined ? () => 0 : product("z", "lora_b", dims.K);
  return Float64Array.from({ length: size(dims, "V") }, (_, v) => main(v) + side(v));
}

/** log of the sum of exp, in float64. */
export function logSumExp(values: Float64Array): number {
  const peak = values.reduce((a, b) => Math.max(a, b));
  return peak + Math.log(values.reduce((sum, value) => sum + Math.exp(value - peak), 0));
}
