import { rope as ropeKernel } from "../kernels/rope";
import { ropeBackward } from "../kernels/rope-backward";
import { type Dims, defineOp, type OpCase, step } from "./define";
import { at, byWidth, size, tensor } from "./sizes";

/**
 * inv_freq of rotary embeddings over `dim` dims, rounded to float32 at the points where transformers rounds:
 * 1 / theta^(2i / dim), ceil(dim / 2) entries. dim 0 gives [0]: no rotation.
 */
export function ropeInverseFrequencies(dim: number, theta: number): Float32Array {
  if (dim === 0) return new Float32Array(1);
  return Float32Array.from(
    { length: Math.ceil(dim / 2) },
    (_, i) => 1 / Math.fround(theta ** Math.fround((2 * i) / dim)),
  );
}

const headDim = (dims: Dims) => size(dims, "W") / (3 * size(dims, "heads"));
const third = (dims: Dims) => size(dims, "W") / 3;
const params = { R: "R", heads: "heads", head_dim: headDim, F: "F" };
const widths = [headDim, "F"];

/** Positions up to 2,047 and the frequencies that belong to theta 10,000. */
const positions: NonNullable<OpCase["inputs"]> = (dims, random) => ({
  position_ids: Float64Array.from({ length: size(dims, "R") }, () => Math.floor(random() * 2048)),
  inv_freq: Float64Array.from(ropeInverseFrequencies(2 * size(dims, "F"), 10_000)),
});

/**
 * Splits qkv [R, W] (W = 3 * heads * head_dim, per head q | k | v as in GPT-NeoX) into q, k, v [R, W / 3] and rotates
 * the first 2F dims of each head of q and k by position_ids [R] * inv_freq [F] (rotate_half). Attribute: heads.
 */
export const rope = defineOp({
  name: "rope",
  inputs: {
    qkv: { dims: ["R", "W"] },
    position_ids: { dims: ["R"], type: "i32" },
    inv_freq: { dims: ["F"], differentiable: false },
  },
  outputs: { q: { dims: ["R", third] }, k: { dims: ["R", third] }, v: { dims: ["R", third] } },
  attributes: ["heads"],
  forward: [
    step(
      byWidth(ropeKernel, widths),
      { qkv: "qkv", position_ids: "position_ids", inv_freq: "inv_freq", q: "q", k: "k", v: "v" },
      params,
    ),
  ],
  backward: [
    step(
      byWidth(ropeBackward, widths),
      { d_q: "d_q", d_k: "d_k", d_v: "d_v", position_ids: "position_ids", inv_freq: "inv_freq", d_qkv: "d_qkv" },
      params,
    ),
  ],
  reference: (inputs, dims) => {
    const [qkv, position, frequency] = [
      tensor(inputs, "qkv"),
      tensor(inputs, "position_ids"),
      tensor(inputs, "inv_freq"),
    ];
    const [R, heads, D, F] = [size(dims, "R"), size(dims, "heads"), headDim(dims), size(dims, "F")];
    const outputs = [0, 1, 2].map(() => new Float64Array(R * heads * D));
    for (let r = 0; r < R; r++)
      for (let head = 0; head < heads; head++)
        outputs.forEach((out, part) => {
          const from = (r * heads + head) * 3 * D + part * D;
          const to = (r * heads + head) * D;
          for (let d = 0; d < D; d++) out[to + d] = at(qkv, from + d);
          if (part === 2 || 2 * F > D) return;
          for (let i = 0; i < F; i++) {
            // The angle is rounded to float32, as it is in transformers.
            const angle = Math.fround(at(position, r) * at(frequency, i));
            const [low, high] = [at(qkv, from + i), at(qkv, from + F + i)];
            out[to + i] = low * Math.cos(angle) - high * Math.sin(angle);
            out[to + F + i] = high * Math.cos(angle) + low * Math.sin(angle);
          }
        });
    const [q, k, v] = outputs;
    if (!q || !k || !v) throw new Error("unreachable");
    return { q, k, v };
  },
  cases: [
    { dims: { R: 5, W: 63, F: 3, heads: 3 }, inputs: positions },
    { dims: { R: 7, W: 30, F: 2, heads: 2 }, inputs: positions },
    { dims: { R: 9, W: 96, F: 4, heads: 2 }, inputs: positions },
    { dims: { R: 66, W: 192, F: 32, heads: 1 }, inputs: positions },
    {
      // No rotation, with a head too narrow to rotate.
      dims: { R: 3, W: 6, F: 1, heads: 2 },
      inputs: (dims, random) => ({ ...positions(dims, random), inv_freq: new Float64Array(1) }),
    },
  ],
});
