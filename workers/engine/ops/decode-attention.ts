import { decodeAttention as decodeAttentionKernel } from "../kernels/decode-attention";
import { type Dims, defineOp, type OpCase, type Step, step } from "./define";
import { at, size, tensor } from "./sizes";

const headDim = (dims: Dims) => size(dims, "W") / size(dims, "heads");
const scale = (dims: Dims) => 1 / Math.sqrt(headDim(dims));

/** At least one lane a vector of the head; on software adapters no more than that, or than a hardware vector has. */
const choose: Step["choose"] = (dims, { cpu, subgroupSize }) => {
  const wide = headDim(dims) % 4 === 0;
  const vectors = 2 ** Math.ceil(Math.log2(headDim(dims) / (wide ? 4 : 1)));
  return {
    kernel: wide ? decodeAttentionKernel.vec4 : decodeAttentionKernel.scalar,
    overrides: { LANES: Math.max(vectors, cpu ? Math.max(8, subgroupSize) : 64) },
  };
};

const positions =
  (...position: readonly number[]): NonNullable<OpCase["inputs"]> =>
  () => ({ position: Float64Array.from(position) });

/**
 * Attention of one new token a text over the text's cached keys and values, its own included. q, y [B, W] with
 * W = heads * head_dim (head_dim 1..128); k_cache, v_cache [C, W], text b from row b * length on; position i32 [B], where
 * the token stands: rows 0 .. position count. Scale 1 / sqrt(head_dim). Attributes: heads, length.
 */
export const decodeAttention = defineOp({
  name: "decodeAttention",
  inputs: {
    q: { dims: ["B", "W"], differentiable: false },
    k_cache: { dims: ["C", "W"], differentiable: false },
    v_cache: { dims: ["C", "W"], differentiable: false },
    position: { dims: ["B"], type: "i32" },
  },
  outputs: { y: { dims: ["B", "W"] } },
  attributes: ["heads", "length"],
  forward: [
    step(
      choose,
      { q: "q", k_cache: "k_cache", v_cache: "v_cache", position: "position", y: "y" },
      { heads: "heads", head_dim: headDim, length: "length", B: "B", scale },
    ),
  ],
  reference: (inputs, dims) => {
    const [q, k, v] = [tensor(inputs, "q"), tensor(inputs, "k_cache"), tensor(inputs, "v_cache")];
    const position = tensor(inputs, "position");
    const [W, D, length] = [size(dims, "W"), headDim(dims), size(dims, "length")];
    const y = new Float64Array(q.length);
    position.forEach((last, b) => {
      for (let head = 0; head < W; head += D) {
        const scores = Array.from({ length: last + 1 }, (_, j) => {
          let dot = 0;
          for (let d = head; d < head + D; d++) dot += at(q, b * W + d) * at(k, (b * length + j) * W + d);
          return dot * scale(dims);
        });
        const peak = Math.max(...scores);
        const sum = scores.reduce((acc, score) => acc + Math.exp(score - peak), 0);
        scores.forEach((score, j) => {
          const p = Math.exp(score - peak) / sum;
          for (let d = head; d < head + D; d++) y[b * W + d] = at(y, b * W + d) + p * at(v, (b * length + j) * W + d);
        });
      }
    });
    return { y };
  },
  cases: [
    { dims: { B: 3, W: 14, C: 63, heads: 2, length: 21 }, inputs: positions(0, 20, 9) },
    { dims: { B: 1, W: 1, C: 2, heads: 1, length: 2 }, inputs: positions(1) },
    { dims: { B: 2, W: 96, C: 300, heads: 3, length: 150 }, inputs: positions(149, 64) },
    { dims: { B: 2, W: 160, C: 140, heads: 2, length: 70 }, inputs: positions(63, 69) },
    { dims: { B: 2, W: 256, C: 38, heads: 2, length: 19 }, inputs: positions(18, 3) },
    { dims: { B: 1, W: 127, C: 131, heads: 1, length: 131 }, inputs: positions(130) },
    { dims: { B: 1, W: 20, C: 9, heads: 5, length: 9 }, inputs: positions(8) },
    {
      // Scores around 98, where exp without the maximum subtracted would overflow. Products and sums are exact in f32.
      dims: { B: 1, W: 8, C: 6, heads: 2, length: 6 },
      inputs: (_, random) => {
        const vectors = (rows: number) =>
          Float64Array.from({ length: rows * 8 }, (__, i) => (i % 4 === 0 ? 14 : Math.round(8 * (random() - 0.5)) / 4));
        return { position: Float64Array.of(5), q: vectors(1), k_cache: vectors(6) };
      },
    },
  ],
});
