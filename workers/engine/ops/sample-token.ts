import { SAMPLE_CHUNK, sampleChunk } from "../kernels/sample-chunk";
import { sampleKept } from "../kernels/sample-kept";
import { sampleThreshold } from "../kernels/sample-threshold";
import { sampleToken as sampleTokenKernel } from "../kernels/sample-token";
import { type Dims, defineOp, type HostTensors, type OpCase, step } from "./define";
import { at, size, tensor } from "./sizes";

/** Fields of a text in `texts`, and their number. */
export const TEXT = { seedLow: 0, seedHigh: 1, index: 2, eos: 3, room: 4, count: 5 } as const;
export const TEXT_FIELDS = 6;

const chunks = (dims: Dims) => Math.ceil(size(dims, "V") / SAMPLE_CHUNK);

const inOrder = { logits: "logits", settings: "settings", partial: "partial" };
const sizes = { B: "B", V: "V", chunks };
const limited = (dims: Dims) => size(dims, "limits") === 1;

/**
 * Draws the next token of each text and moves the text on.
 *
 * logits [B, V]; settings f32 [3]: temperature (0: the likeliest token, the first of equals), top_k (0: off), top_p
 * (1: off), applied in this order as transformers' warpers are, to the same sets (of equal logits at its threshold top-p
 * drops the first ones; which ones transformers drops, torch.sort leaves open). texts i32 [B, 6] (TEXT): a seed of
 * 64 bits, the text's index, its end token (-1: none), how many tokens it may still get (0: nothing happens to it) and how
 * many it has. token i32 [B]: the last one. position i32 [B]: where that one stands. ids i32 and logprobs [B, N]: what was
 * drawn; logprobs are of the full softmax of logits / temperature (of the logits themselves where it is 0).
 *
 * Attribute: limits, 1 where top_k or top_p may leave anything out, 0 where the settings never do (saves dispatches).
 *
 * The random number is Philox 4x32-10 of (index, position of the new token) under the seed: it depends on nothing else.
 */
export const sampleToken = defineOp({
  name: "sampleToken",
  inputs: {
    logits: { dims: ["B", "V"], differentiable: false },
    settings: { dims: [3], differentiable: false },
    texts: { dims: ["B", TEXT_FIELDS], type: "i32" },
    token: { dims: ["B"], type: "i32" },
    position: { dims: ["B"], type: "i32" },
    ids: { dims: ["B", "N"], type: "i32" },
    logprobs: { dims: ["B", "N"], differentiable: false },
  },
  outputs: {},
  attributes: ["limits"],
  updates: ["texts", "token", "position", "ids", "logprobs"],
  scratch: { partial: { dims: ["B", (dims) => 4 * chunks(dims) + 2], type: "u32" } },
  forward: [
    step(sampleChunk, inOrder, { ...sizes, size: SAMPLE_CHUNK }),
    step(
      (_, { cpu }) => ({ kernel: sampleThreshold, overrides: { LANES: cpu ? 32 : 128 } }),
      inOrder,
      { ...sizes, zero: 0 },
      { when: limited },
    ),
    step(sampleKept, inOrder, { ...sizes, size: SAMPLE_CHUNK }, { when: limited }),
    step(
      sampleTokenKernel,
      { ...inOrder, texts: "texts", token: "token", position: "position", ids: "ids", logprobs: "logprobs" },
      { ...sizes, N: "N", size: SAMPLE_CHUNK, zero: 0 },
    ),
  ],
  reference,
  cases: [
    { dims: { B: 3, V: 19, N: 5, limits: 0 }, inputs: texts(0.7, 0, 1) },
    { dims: { B: 5, V: 2051, N: 3, limits: 0 }, inputs: texts(1, 0, 1) },
    { dims: { B: 2, V: 2051, N: 3, limits: 1 }, inputs: texts(0, 5, 0.5) },
    { dims: { B: 7, V: 1030, N: 3, limits: 1 }, inputs: texts(1.3, 9, 1) },
    { dims: { B: 6, V: 1030, N: 3, limits: 1 }, inputs: texts(0.8, 0, 0.6) },
    { dims: { B: 5, V: 330, N: 3, limits: 1 }, inputs: texts(1, 40, 0.9) },
    { dims: { B: 2, V: 7, N: 3, limits: 1 }, inputs: texts(1, 7, 0.2) },
    { dims: { B: 1, V: 1, N: 1, limits: 1 }, inputs: texts(1, 0, 0.5) },
    // Equal logits at both thresholds: top-k keeps all of them, top-p drops the first ones.
    { dims: { B: 9, V: 37, N: 2, limits: 1 }, inputs: texts(1, 6, 0.55, (i) => i % 3) },
    // Logits where exp without the maximum subtracted would overflow, and long rows that end early.
    {
      dims: { B: 4, V: 3000, N: 2, limits: 0 },
      inputs: texts(1, 0, 1, (i) => (i % 1500 === 7 ? 101 : 100 - (i % 64) / 8)),
    },
  ],
});

/** Texts that have come differently far, the second one finished; logits random unless `logit` gives them. */
function texts(
  temperature: number,
  top_k: number,
  top_p: number,
  logit?: (i: number) => number,
): NonNullable<OpCase["inputs"]> {
  return (dims, random) => {
    const [B, V, N] = [size(dims, "B"), size(dims, "V"), size(dims, "N")];
    const integer = () => Math.floor((random() - 0.5) * 2 ** 32);
    const state = Array.from({ length: B }, (_, b) => {
      const count = b % N;
      return [integer(), integer(), 3 * b, b % 3 === 0 ? -1 : b % V, b === 1 ? 0 : N - count, count];
    });
    return {
      settings: Float64Array.of(temperature, top_k, top_p),
      texts: Float64Array.from(state.flat()),
      token: Float64Array.from({ length: B }, (_, b) => b % V),
      position: Float64Array.from({ length: B }, (_, b) => 10 * b),
      ids: new Float64Array(B * N).fill(-7),
      ...(logit ? { logits: Float64Array.from({ length: B * V }, (_, i) => logit(i % V)) } : {}),
    };
  };
}

/** Four random words of a counter under a key: Philox 4x32-10. */
export function philox(counter: readonly number[], key: readonly [low: number, high: number]): number[] {
  const product = (a: number, b: number): [high: number, low: number] => {
    const whole = BigInt(a >>> 0) * BigInt(b >>> 0);
    return [Number(whole >> 32n), Number(whole & 0xffff_ffffn)];
  };
  let [x = 0, y = 0, z = 0, w = 0] = counter.map((word) => word >>> 0);
  let [low, high] = key;
  for (let round = 0; round < 10; round++) {
    const [p, q] = product(0xd251_1f53, x);
    const [r, s] = product(0xcd9e_8d57, z);
    [x, y, z, w] = [(r ^ y ^ low) >>> 0, s, (p ^ w ^ high) >>> 0, q];
    low = (low + 0x9e37_79b9) >>> 0;
    high = (high + 0xbb67_ae85) >>> 0;
  }
  return [x, y, z, w];
}

/** Indices that transformers' TopKLogitsWarper and then TopPLogitsWarper leave, in their order; scores are divided by T. */
export function keptTokens(scores: Float64Array, top_k: number, top_p: number): number[] {
  const all = Array.from(scores, (_, i) => i);
  const order = (indices: readonly number[]) => [...indices].sort((a, b) => at(scores, a) - at(scores, b) || a - b);
  let kept = all;
  if (top_k > 0 && top_k < scores.length) {
    const least = at(scores, order(all)[scores.length - top_k] ?? 0);
    kept = all.filter((i) => at(scores, i) >= least);
  }
  if (top_p >= 1) return kept;
  const peak = Math.max(...kept.map((i) => at(scores, i)));
  const mass = (i: number) => Math.exp(at(scores, i) - peak);
  const sum = kept.reduce((acc, i) => acc + mass(i), 0);
  const ascending = order(kept);
  const removed = new Set<number>();
  let below = 0;
  for (const i of ascending.slice(0, -1)) {
    below += mass(i) / sum;
    if (below <= 1 - top_p) removed.add(i);
  }
  return kept.filter((i) => !removed.has(i));
}

function reference(inputs: HostTensors, dims: Dims): HostTensors {
  const [B, V, N] = [size(dims, "B"), size(dims, "V"), size(dims, "N")];
  const settings = tensor(inputs, "settings");
  const [temperature, top_k, top_p] = [at(settings, 0), at(settings, 1), at(settings, 2)];
  const [texts, token, position] = [
    tensor(inputs, "texts").slice(),
    tensor(inputs, "token").slice(),
    tensor(inputs, "position").slice(),
  ];
  const [ids, logprobs] = [tensor(inputs, "ids").slice(), tensor(inputs, "logprobs").slice()];
  for (let b = 0; b < B; b++) {
    const [low = 0, high = 0, index = 0, eos = 0, room = 0, count = 0] = texts.subarray(b * TEXT_FIELDS);
    if (room === 0) continue;
    const scores = tensor(inputs, "logits")
      .slice(b * V, (b + 1) * V)
      .map((logit) => logit / (temperature || 1));
    const peak = Math.max(...scores);
    const place = at(position, b) + 1;
    let chosen = scores.indexOf(peak);
    if (temperature > 0) {
      const kept = keptTokens(scores, top_k, top_p);
      const sum = kept.reduce((acc, i) => acc + Math.exp(at(scores, i) - peak), 0);
      const [bits = 0] = philox([index, place, 0, 0], [low >>> 0, high >>> 0]);
      let rest = ((bits >>> 8) / 2 ** 24) * sum;
      for (const i of kept) {
        chosen = i;
        rest -= Math.exp(at(scores, i) - peak);
        if (rest < 0) break;
      }
    }
    const all = scores.reduce((acc, score) => acc + Math.exp(score - peak), 0);
    token[b] = chosen;
    position[b] = place;
    ids[b * N + count] = chosen;
    logprobs[b * N + count] = at(scores, chosen) - peak - Math.log(all);
    texts[b * TEXT_FIELDS + TEXT.count] = count + 1;
    texts[b * TEXT_FIELDS + TEXT.room] = chosen === eos ? 0 : room - 1;
  }
  return { texts, token, position, ids, logprobs };
}
