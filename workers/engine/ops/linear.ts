import { chooseMatmul, type MatmulLayout } from "../kernels/choose-matmul";
import { COLUMN_PARTIAL_ROWS, columnPartial } from "../kernels/column-partial";
import { columnSum } from "../kernels/column-sum";
import { type Dims, defineOp, type OpCase, resolveSize, type Size, type Step, step } from "./define";
import { at, byWidth, size, tensor } from "./sizes";

interface Sizes {
  readonly M: Size;
  readonly N: Size;
  readonly K: Size;
}

/** A matmul of the given layout: out [M,N] = op(a) · op(b). `weight` names the tensor whose element type b has. */
export function matmulStep(
  layout: MatmulLayout,
  bind: { readonly a: string; readonly b: string; readonly out: string; readonly bias?: string },
  sizes: Sizes,
  options: Pick<Step, "slice" | "when"> = {},
): Step {
  const choose: Step["choose"] = (dims, capabilities, elements) =>
    chooseMatmul(
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
  // Without a bias the binding is not read; a is always there and readable.
  return step(choose, { ...bind, bias: bind.bias ?? bind.a }, { ...sizes }, options);
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

/** y = x · weightᵀ + bias: torch.nn.Linear. As `linear`, with bias [O]. */
export const linearBias = defineOp({
  name: "linearBias",
  inputs: { ...inputs, bias: { dims: ["O"] } },
  outputs: { y: { dims: ["R", "O"] } },
  backwardScratch: { partial: { dims: [chunks, "O"] } },
  forward: [forward("bias")],
  backward: [
    ...backward,
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
  ],
  reference: (tensors, dims) => {
    const y = product(tensor(tensors, "x"), tensor(tensors, "weight"), dims);
    const bias = tensor(tensors, "bias");
    return { y: y.map((value, i) => value + at(bias, i % size(dims, "O"))) };
  },
  // The bias changes the forward alone: a few of linear's sizes will do.
  cases: [
    { dims: { R: 2, I: 3, O: 5 } },
    { dims: { R: 1, I: 1, O: 1 } },
    { dims: { R: 67, I: 20, O: 36 } },
    { dims: { R: 35, I: 12, O: 9 } },
  ],
});
