import { lmLossChunk } from "../kernels/lm-loss-chunk";
import { lmLossGradient } from "../kernels/lm-loss-gradient";
import { lmLossTotal } from "../kernels/lm-loss-total";
import { type Dims, defineOp, type OpCase, type Step, step } from "./define";
import { matmulStep } from "./linear";
import { at, size, tensor } from "./sizes";

/** Most chunks the steps are declared for; larger vocabularies get longer chunks. */
const MOST_CHUNKS = 32;

/** Chunk of ordinary vocabularies: [tokens, 2048] logits are a few MB, and its weight rows fit every binding limit. */
const CHUNK = 2048;

/** Slices of weight rows begin at multiples of 256 bytes for f16 and any hidden size if chunks are multiples of this. */
const ALIGN = 128;

/** Vocabulary entries a chunk. The test cases set `chunk` so that a small vocabulary has several. */
function chunkLength(dims: Dims): number {
  const V = size(dims, "V");
  const length = dims.chunk ?? Math.max(CHUNK, Math.ceil(V / MOST_CHUNKS / ALIGN) * ALIGN);
  return Math.min(length, V);
}

/** Per chunk: its first entry and its number of entries. */
const first = (chunk: number) => (dims: Dims) => chunk * chunkLength(dims);
const length = (chunk: number) => (dims: Dims) => Math.min(chunkLength(dims), size(dims, "V") - first(chunk)(dims));

type Parts = readonly ("weight" | "d_weight" | "logits" | "backward_logits")[];

/** A step of one chunk: left out where the vocabulary ends before it, binding only the chunk's part of `parts`. */
function ofChunk(chunk: number, parts: Parts): Required<Pick<Step, "when" | "slice">> {
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

const chunks = Array.from({ length: MOST_CHUNKS }, (_, chunk) => chunk);

const chunkLogits = (chunk: number, out: "logits" | "backward_logits") =>
  matmulStep("NT", { a: "h", b: "weight", out }, { M: "R", N: length(chunk), K: "H" }, ofChunk(chunk, ["weight", out]));

/** Random targets, every third ignored, the first and the last entry of the vocabulary among them. */
const targets: NonNullable<OpCase["inputs"]> = (dims, random) => {
  const V = size(dims, "V");
  return {
    token_weight: Float64Array.of(0.125),
    targets: Float64Array.from({ length: size(dims, "R") }, (_, r) =>
      r % 3 === 2 ? -100 : r === 0 ? V - 1 : r === 1 ? 0 : Math.floor(random() * V),
    ),
  };
};

/**
 * Next-token loss without logits in memory: loss [1] = token_weight * sum over rows with a target of
 * (logsumexp(h · weightᵀ) - the target's logit). h [R, H], weight [V, H] (f32 or, frozen, f16), targets i32 [R] (already
 * shifted; negative: ignored), token_weight [1] = 1 / number of counted tokens in the whole optimizer step. Saves
 * lse [R].
 *
 * The vocabulary is walked in chunks; the backward recomputes each chunk's logits and turns them into their gradient in
 * place. The order is fixed, so the same seed gives the same bits.
 */
export const lmLoss = defineOp({
  name: "lmLoss",
  inputs: {
    h: { dims: ["R", "H"] },
    weight: { dims: ["V", "H"] },
    targets: { dims: ["R"], type: "i32" },
    token_weight: { dims: [1], differentiable: false },
  },
  outputs: { loss: { dims: [1] }, lse: { dims: ["R"] } },
  saved: ["lse"],
  scratch: { logits: { dims: ["R", chunkLength] }, running: { dims: ["R", 3] } },
  backwardScratch: { backward_logits: { dims: ["R", chunkLength] } },
  forward: [
    ...chunks.flatMap((chunk) => [
      chunkLogits(chunk, "logits"),
      step(
        lmLossChunk,
        { logits: "logits", targets: "targets", running: "running" },
        { R: "R", N: length(chunk), first: first(chunk) },
        { overrides: { START: chunk === 0 ? 1 : 0 }, ...ofChunk(chunk, ["logits"]) },
      ),
    ]),
    step(
      lmLossTotal,
      { running: "running", targets: "targets", token_weight: "token_weight", lse: "lse", loss: "loss" },
      { R: "R" },
    ),
  ],
  backward: chunks.flatMap((chunk) => [
    chunkLogits(chunk, "backward_logits"),
    step(
      lmLossGradient,
      { lse: "lse", targets: "targets", token_weight: "token_weight", d_loss: "d_loss", logits: "backward_logits" },
      { R: "R", N: length(chunk), first: first(chunk) },
      ofChunk(chunk, ["backward_logits"]),
    ),
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
  ]),
  reference: (inputs, dims) => {
    const [h, weight, target] = [tensor(inputs, "h"), tensor(inputs, "weight"), tensor(inputs, "targets")];
    const [R, H, V] = [size(dims, "R"), size(dims, "H"), size(dims, "V")];
    const lse = new Float64Array(R);
    let loss = 0;
    for (let r = 0; r < R; r++) {
      const logits = Array.from({ length: V }, (_, v) => {
        let sum = 0;
        for (let i = 0; i < H; i++) sum += at(h, r * H + i) * at(weight, v * H + i);
        return sum;
      });
      const peak = logits.reduce((a, b) => Math.max(a, b));
      lse[r] = peak + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - peak), 0));
      const label = at(target, r);
      if (label >= 0) loss += at(lse, r) - (logits[label] ?? Number.NaN);
    }
    return { loss: Float64Array.of(loss * at(tensor(inputs, "token_weight"), 0)), lse };
  },
  cases: [
    { dims: { R: 7, H: 5, V: 11 }, inputs: targets },
    { dims: { R: 1, H: 1, V: 2 }, inputs: targets },
    { dims: { R: 5, H: 3, V: 300, chunk: 128 }, inputs: targets },
    { dims: { R: 34, H: 8, V: 132, chunk: 128 }, inputs: targets },
    { dims: { R: 67, H: 12, V: 259, chunk: 128 }, inputs: targets },
    { dims: { R: 3, H: 12, V: 140 }, inputs: targets, elements: { weight: "f16" } },
    {
      // Logits of several hundred: exp without the maximum subtracted would overflow.
      dims: { R: 4, H: 3, V: 130, chunk: 128 },
      inputs: (dims, random) => ({
        ...targets(dims, random),
        h: Float64Array.from({ length: size(dims, "R") * size(dims, "H") }, () => 200 * (random() - 0.5)),
      }),
    },
  ],
});
