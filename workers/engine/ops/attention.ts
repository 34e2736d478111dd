import {
  type AttentionKernel,
  attentionBackwardKv,
  attentionBackwardQ,
  attentionForward,
  chooseAttention,
} from "../kernels/attention";
import { attentionDelta } from "../kernels/attention-delta";
import { type Dims, defineOp, type OpCase, type Step, step } from "./define";
import { at, product, size, tensor } from "./sizes";

const headDim = (dims: Dims) => size(dims, "W") / size(dims, "heads");
const scale = (dims: Dims) => 1 / Math.sqrt(headDim(dims));
const params = { R: "R", heads: "heads", head_dim: headDim, scale };

const form =
  (kernel: AttentionKernel): Step["choose"] =>
  (dims, capabilities) =>
    chooseAttention(kernel, headDim(dims), capabilities);

const sources = { q: "q", k: "k", v: "v", d_y: "d_y", statistics: "statistics" };

/** Texts of the given lengths one after another; the last one takes what is left. */
const texts =
  (...lengths: readonly number[]): NonNullable<OpCase["inputs"]> =>
  (dims) => {
    const R = size(dims, "R");
    const segment_start = new Float64Array(R);
    const segment_end = new Float64Array(R);
    let first = 0;
    for (const length of [...lengths, R]) {
      const end = Math.min(R, first + length);
      segment_start.fill(first, first, end);
      segment_end.fill(end, first, end);
      first = end;
    }
    return { segment_start, segment_end };
  };

/**
 * Causal attention inside each text of a flat stream. q, k, v, y [R, W] with W = heads * head_dim (head_dim 1..128);
 * token t sees tokens segment_start[t] .. t; segment_start and segment_end i32 [R] never decrease. Scale
 * 1 / sqrt(head_dim). Saves lse [R * heads]. Attribute: heads.
 */
export const attention = defineOp({
  name: "attention",
  inputs: {
    q: { dims: ["R", "W"] },
    k: { dims: ["R", "W"] },
    v: { dims: ["R", "W"] },
    segment_start: { dims: ["R"], type: "i32" },
    segment_end: { dims: ["R"], type: "i32" },
  },
  outputs: { y: { dims: ["R", "W"] }, lse: { dims: [product("R", "heads")] } },
  saved: ["lse"],
  attributes: ["heads"],
  backwardScratch: { statistics: { dims: [product("R", "heads"), 2] } },
  forward: [
    step(
      form(attentionForward),
      { q: "q", k: "k", v: "v", segment_start: "segment_start", y: "y", lse: "lse" },
      params,
    ),
  ],
  backward: [
    step(
      (dims) => ({ kernel: headDim(dims) % 4 === 0 ? attentionDelta.vec4 : attentionDelta.scalar }),
      { y: "y", d_y: "d_y", lse: "lse", statistics: "statistics" },
      { count: product("R", "heads"), head_dim: headDim },
    ),
    step(form(attentionBackwardQ), { ...sources, segment_start: "segment_start", d_q: "d_q" }, params),
    step(form(attentionBackwardKv), { ...sources, segment_end: "segment_end", d_k: "d_k", d_v: "d_v" }, params),
  ],
  reference: (inputs, dims) => {
    const [q, k, v] = [tensor(inputs, "q"), tensor(inputs, "k"), tensor(inputs, "v")];
    const start = tensor(inputs, "segment_start");
    const [R, W, heads, D] = [size(dims, "R"), size(dims, "W"), size(dims, "heads"), headDim(dims)];
    const y = new Float64Array(R * W);
    const lse = new Float64Array(R * heads);
    for (let t = 0; t < R; t++)
      for (let head = 0; head < heads; head++) {
        const scores: number[] = [];
        for (let j = at(start, t); j <= t; j++) {
          let dot = 0;
          for (let d = 0; d < D; d++) dot += at(q, t * W + head * D + d) * at(k, j * W + head * D + d);
          scores.push(dot * scale(dims));
        }
        const peak = Math.max(...scores);
        const sum = scores.reduce((acc, score) => acc + Math.exp(score - peak), 0);
        lse[t * heads + head] = peak + Math.log(sum);
        scores.forEach((score, i) => {
          const p = Math.exp(score - peak) / sum;
          const key = (at(start, t) + i) * W + head * D;
          for (let d = 0; d < D; d++) y[t * W + head * D + d] = at(y, t * W + head * D + d) + p * at(v, key + d);
        });
      }
    return { y, lse };
  },
  cases: [
    { dims: { R: 11, W: 15, heads: 3 }, inputs: texts(4, 1, 5) },
    { dims: { R: 1, W: 1, heads: 1 }, inputs: texts() },
    { dims: { R: 37, W: 24, heads: 2 }, inputs: texts(3, 21, 1, 1) },
    { dims: { R: 70, W: 7, heads: 1 }, inputs: texts(66) },
    { dims: { R: 9, W: 256, heads: 2 }, inputs: texts(2) },
    { dims: { R: 5, W: 127, heads: 1 }, inputs: texts() },
    { dims: { R: 6, W: 80, heads: 1 }, inputs: texts(1, 1, 1) },
    {
      // Scores around 98, where exp without the maximum subtracted would overflow. Products and sums are exact in f32.
      dims: { R: 6, W: 8, heads: 2 },
      inputs: (dims, random) => {
        const vectors = () =>
          Float64Array.from({ length: 48 }, (_, i) => (i % 4 === 0 ? 14 : Math.round(8 * (random() - 0.5)) / 4));
        return { ...texts()(dims, random), q: vectors(), k: vectors() };
      },
    },
  ],
});
