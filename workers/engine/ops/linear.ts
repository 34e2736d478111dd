import { chooseMatmul, type MatmulLayout } from "../kernels/choose-matmul";
import { COLUMN_PARTIAL_ROWS, columnPartial } from "../kernels/column-partial";
import { columnSum } from "../kernels/column-sum";
import { type Dims, defineOp, type HostTensors, type OpCase, resolveSize, type Size, type Step, step } from "./define";
import { at, byWidth, size, tensor } from "./sizes";

interface Sizes {
  readonly M: Size;
  readonly N: Size;
  readonly K: Size;
}

/**
 * A matmul of the given layout: out [M,N] = op(a) · op(b). b may be stored as f16.
 * @param options add: to what an earlier step of the forward wrote into out (in gradients the plan decides).
 */
export function matmulStep(
  layout: MatmulLayout,
  bind: { readonly a: string; readonly b: string; readonly out: string; readonly bias?: string },
  sizes: Sizes,
  options: Pick<Step, "slice" | "when" | "byParts"> & { readonly add?: boolean } = {},
): Step {
  const { add, ...rest } = options;
  const choose: Step["choose"] = (dims, capabilities, elements) => {
    const choice = chooseMatmul(
      {
        layout,
        M: resolveSize(sizes.M, dims),
        N: resolveSize(sizes.N, dims),
        K: resolveSize(sizes.K, dims),
        bias: bind.bias !== undefined,
        weight: elements[bind.b] ?? "f32",
      },
      capabilities,
    );
    return add ? { ...choice, overrides: { ...choice.overrides, ACCUMULATE: 1 } } : choice;
  };
  // Without a bias the binding is not read; a is always there and readable.
  return step(choose, { ...bind, bias: bind.bias ?? bind.a }, { ...sizes }, rest);
}

const forward = (bias?: string) =>
  matmulStep(
    "NT",
    { a: "x", b: "weight", out: "y", ...(bias === undefined ? {} : { bias }) },
    { M: "R", N: "O", K: "I" },
  );

const backward = [
  matmulStep("NN", { a: "d_y", b: "weight", out: "d_x" }, { M: "R", N: "I", K: "O" }),
  matmulStep("TN", { a: "d_y", b: "x", out: "d_weight" }, { M: "O", N: "I", K: "R" }),
];

const inputs = { x: { dims: ["R", "I"] }, weight: { dims: ["O", "I"] } };

function product(x: Float64Array, weight: Float64Array, dims: Dims): Float64Array {
  const [R, I, O] = [size(dims, "R"), size(dims, "I"), size(dims, "O")];
  const y = new Float64Array(R * O);
  for (let r = 0; r < R; r++)
    for (let o = 0; o < O; o++) {
      let sum = 0;
      for (let i = 0; i < I; i++) sum += at(x, r * I + i) * at(weight, o * I + i);
      y[r * O + o] = sum;
    }
  return y;
}

/** Ones, odd sizes, sizes that 4 divides but no tile, and one row or one output beside them. */
const cases: readonly OpCase[] = [
  { dims: { R: 2, I: 3, O: 5 } },
  { dims: { R: 1, I: 1, O: 1 } },
  { dims: { R: 67, I: 20, O: 36 } },
  { dims: { R: 5, I: 68, O: 1 } },
  { dims: { R: 1, I: 12, O: 140 } },
  { dims: { R: 19, I: 7, O: 36 } },
  { dims: { R: 35, I: 12, O: 9 } },
  { dims: { R: 18, I: 36, O: 44 }, elements: { weight: "f16" } },
  { dims: { R: 6, I: 5, O: 7 }, elements: { weight: "f16" } },
];

/**
 * y = x · weightᵀ: torch.nn.Linear without bias. x [R, I], weight [O, I] (f32, or f16 where frozen: accumulation is f32),
 * y [R, O].
 */
export const linear = defineOp({
  name: "linear",
  inputs,
  outputs: { y: { dims: ["R", "O"] } },
  forward: [forward()],
  backward,
  reference: (tensors, dims) => ({ y: product(tensor(tensors, "x"), tensor(tensors, "weight"), dims) }),
  cases,
});

const chunks = (dims: Dims) => Math.ceil(size(dims, "R") / COLUMN_PARTIAL_ROWS);
const few = (dims: Dims) => chunks(dims) === 1;

const biasScratch = { partial: { dims: [chunks, "O"] } };

const biasBackward = [
  step(byWidth(columnSum, ["O"]), { x: "d_y", y: "d_bias" }, { first: 0, rows: "R", H: "O" }, { when: few }),
  step(
    byWidth(columnPartial, ["O"]),
    { x: "d_y", partial: "partial" },
    { R: "R", H: "O" },
    { when: (dims) => !few(dims) },
  ),
  step(
    byWidth(columnSum, ["O"]),
    { x: "partial", y: "d_bias" },
    { first: 0, rows: chunks, H: "O" },
    { when: (dims) => !few(dims) },
  ),
];

function plusBias(y: Float64Array, bias: Float64Array): Float64Array {
  return y.map((value, i) => value + at(bias, i % bias.length));
}

/** y = x · weightᵀ + bias: torch.nn.Linear. As `linear`, with bias [O]. */
export const linearBias = defineOp({
  name: "linearBias",
  inputs: { ...inputs, bias: { dims: ["O"] } },
  outputs: { y: { dims: ["R", "O"] } },
  backwardScratch: biasScratch,
  forward: [forward("bias")],
  backward: [...backward, ...biasBackward],
  reference: (tensors, dims) => ({
    y: plusBias(product(tensor(tensors, "x"), tensor(tensors, "weight"), dims), tensor(tensors, "bias")),
  }),
  // The bias changes the forward alone: a few of linear's sizes will do.
  cases: [
    { dims: { R: 2, I: 3, O: 5 } },
    { dims: { R: 1, I: 1, O: 1 } },
    { dims: { R: 67, I: 20, O: 36 } },
    { dims: { R: 35, I: 12, O: 9 } },
  ],
});

const sideInputs = { z: { dims: ["R", "K"] }, lora_b: { dims: ["O", "K"] } };

const sideForward = matmulStep("NT", { a: "z", b: "lora_b", out: "y" }, { M: "R", N: "O", K: "K" }, { add: true });

const sideBackward = [
  matmulStep("NN", { a: "d_y", b: "lora_b", out: "d_z" }, { M: "R", N: "K", K: "O" }),
  matmulStep("TN", { a: "d_y", b: "z", out: "d_lora_b" }, { M: "O", N: "K", K: "R" }),
];

function plusSide(y: Float64Array, tensors: HostTensors, dims: Dims): Float64Array {
  const side = product(tensor(tensors, "z"), tensor(tensors, "lora_b"), { ...dims, I: size(dims, "K") });
  return y.map((value, i) => value + at(side, i));
}

/** Ranks of one, of odd numbers, and above the width of the layer. */
const sideCases: readonly OpCase[] = [
  { dims: { R: 2, I: 3, O: 5, K: 7 } },
  { dims: { R: 1, I: 1, O: 1, K: 1 } },
  { dims: { R: 67, I: 20, O: 36, K: 8 } },
  { dims: { R: 19, I: 7, O: 36, K: 1 } },
  { dims: { R: 18, I: 36, O: 44, K: 4 }, elements: { weight: "f16" } },
  { dims: { R: 6, I: 5, O: 7, K: 3 }, elements: { weight: "f16" } },
];

/**
 * y = x · weightᵀ + z · lora_bᵀ: a linear with a LoRA side branch, z = lora_alpha / r * dropout(x) · lora_aᵀ. x [R, I],
 * weight [O, I] (f32 or f16), z [R, K], lora_b [O, K], y [R, O].
 */
export const linearLora = defineOp({
  name: "linearLora",
  inputs: { ...inputs, ...sideInputs },
  outputs: { y: { dims: ["R", "O"] } },
  forward: [forward(), sideForward],
  backward: [...backward, ...sideBackward],
  reference: (tensors, dims) => ({
    y: plusSide(product(tensor(tensors, "x"), tensor(tensors, "weight"), dims), tensors, dims),
  }),
  cases: sideCases,
});

/** As `linearLora`, with bias [O]. */
export const linearBiasLora = defineOp({
  name: "linearBiasLora",
  inputs: { ...inputs, bias: { dims: ["O"] }, ...sideInputs },
  outputs: { y: { dims: ["R", "O"] } },
  backwardScratch: biasScratch,
  forward: [forward("bias"), sideForward],
  backward: [...backward, ...biasBackward, ...sideBackward],
  reference: (tensors, dims) => {
    const y = product(tensor(tensors, "x"), tensor(tensors, "weight"), dims);
    return { y: plusSide(plusBias(y, tensor(tensors, "bias")), tensors, dims) };
  },
  cases: sideCases,
});
