/**
 * What an op is: named inputs and outputs with named dims, forward steps, backward steps, a float64 reference in plain
 * loops and the cases the one harness (ops.test.ts) runs. Declared once, beside its gradient.
 *
 * Conventions
 * - The gradient of tensor `x` is called `d_x`. Backward steps read inputs, outputs, scratch and the `d_<output>`, and
 *   write `d_<input>`.
 * - Every step that writes a `d_<input>` names it in `kernel.bindings` with access "read_write" and its kernel has the
 *   override `ACCUMULATE` (0: write, 1: add). The plan sets it: the first contribution writes, later ones add.
 * - Backward steps whose every written gradient is unwanted (frozen input) are dropped by the plan.
 * - A binding name that is neither an input, an output, a scratch nor a gradient of one is an error at definition.
 */

import type { Capabilities } from "../gpu/capabilities";
import type { ElementType, KernelDefinition } from "../kernels/define";

export type { Capabilities } from "../gpu/capabilities";

/** Sizes by dim name ("R", "I", ...), plus the op's attributes by name. */
export type Dims = Readonly<Record<string, number>>;

/** A size: a dim or attribute name, a literal number, or a function of the dims. */
export type Size = string | number | ((dims: Dims) => number);

export interface TensorSpec {
  readonly dims: readonly Size[];
  /** Default "f32". */
  readonly type?: ElementType;
  /** false for ids, masks, positions: no gradient exists. Default true for f32 inputs. */
  readonly differentiable?: boolean;
}

/** Which kernel a step uses: fixed, or chosen by sizes and adapter (the pipeline key covers the choice). */
export interface KernelChoice {
  readonly kernel: KernelDefinition;
  readonly overrides?: Readonly<Record<string, number>>;
  /** Element alias of the kernel -> element type, where it is not the alias's default. */
  readonly elements?: Readonly<Record<string, ElementType>>;
}

export interface Step {
  readonly choose: (
    dims: Dims,
    capabilities: Capabilities,
    elements: Readonly<Record<string, ElementType>>,
  ) => KernelChoice;
  /** Kernel binding -> tensor name of the op (input, output, scratch or `d_` of one). */
  readonly bind: Readonly<Record<string, string>>;
  /** Kernel param -> size or literal. */
  readonly params: Readonly<Record<string, Size>>;
  /** Left out when it says false, e.g. an optional bias that is absent. */
  readonly when?: (dims: Dims) => boolean;
  /**
   * Binds only a part: tensor name -> [first element, element count] of it. Offsets must be multiples of 256 bytes.
   * Used to walk over chunks of a tensor that is larger than a binding may be.
   */
  readonly slice?: (dims: Dims) => Readonly<Record<string, readonly [first: number, count: number]>>;
  /**
   * For tensors that have one row a vocabulary entry and may be stored in parts (`dims.part` rows each): tensor name ->
   * elements a row. The step runs once a part, on the part's rows alone: its sizes see `V` rows from `first` on, of `whole`.
   */
  readonly byParts?: Readonly<Record<string, Size>>;
}

/** Plain arrays in row-major order, by tensor name; float64 for floating types. */
export type HostTensors = Readonly<Record<string, Float64Array>>;

export interface OpCase {
  readonly dims: Dims;
  /** Builds inputs where random normals will not do (ids, masks, segment bounds). Others are filled by the harness. */
  readonly inputs?: (dims: Dims, random: () => number) => Readonly<Record<string, Float64Array>>;
  /** Tensor name -> storage type, where it is not the op's own (f16 weights). */
  readonly elements?: Readonly<Record<string, ElementType>>;
}

export interface OpDefinition {
  readonly name: string;
  readonly inputs: Readonly<Record<string, TensorSpec>>;
  readonly outputs: Readonly<Record<string, TensorSpec>>;
  /** Outputs that only the backward reads (row statistics): not differentiable, freed when no backward is planned. */
  readonly saved: readonly string[];
  /**
   * Its outputs are computed from its inputs in a moment, and its own backward keeps those inputs anyway: a plan that is
   * short of memory forgets the outputs and computes them again where the backward pass needs them.
   */
  readonly quick: boolean;
  /** Attributes: numbers that are not sizes of an input (eps, head count, scale). They join the dims by name. */
  readonly attributes: readonly string[];
  /**
   * Inputs that the forward changes in place: state that outlives the run. Not differentiable; the reference returns
   * their new contents under their own names.
   */
  readonly updates: readonly string[];
  /** Temporary tensors of the forward and of the backward. */
  readonly scratch: Readonly<Record<string, TensorSpec>>;
  readonly backwardScratch: Readonly<Record<string, TensorSpec>>;
  readonly forward: readonly Step[];
  readonly backward: readonly Step[];
  /** Forward in float64. Returns every output that is not in `saved` (saved ones may be returned too and are checked). */
  readonly reference: (inputs: HostTensors, dims: Dims) => HostTensors;
  readonly cases: readonly OpCase[];
}

export type OpSpec = Pick<OpDefinition, "name" | "inputs" | "outputs" | "forward" | "reference" | "cases"> &
  Partial<
    Pick<OpDefinition, "saved" | "quick" | "attributes" | "updates" | "scratch" | "backwardScratch" | "backward">
  >;

/** Declares an op and checks that its steps bind only names that exist. */
export function defineOp(spec: OpSpec): OpDefinition {
  const op: OpDefinition = {
    saved: [],
    quick: false,
    attributes: [],
    updates: [],
    scratch: {},
    backwardScratch: {},
    backward: [],
    ...spec,
  };
  const plain = new Set([...Object.keys(op.inputs), ...Object.keys(op.outputs), ...Object.keys(op.scratch)]);
  const inBackward = new Set([...plain, ...Object.keys(op.backwardScratch)]);
  for (const name of [...Object.keys(op.inputs), ...Object.keys(op.outputs)]) inBackward.add(`d_${name}`);
  const check = (steps: readonly Step[], known: ReadonlySet<string>, phase: string) => {
    for (const step of steps)
      for (const name of Object.values(step.bind))
        if (!known.has(name)) throw new Error(`op ${op.name}: ${phase} binds unknown tensor "${name}"`);
  };
  for (const name of op.updates)
    if (!(name in op.inputs)) throw new Error(`op ${op.name}: updates "${name}", which is no input`);
  check(op.forward, plain, "forward");
  check(op.backward, inBackward, "backward");
  return op;
}

export interface StepOptions {
  readonly overrides?: Readonly<Record<string, number>>;
  readonly when?: Step["when"];
  readonly slice?: Step["slice"];
  readonly byParts?: Step["byParts"];
}

/** One dispatch of `kernel` (or of what `kernel` chooses for the sizes and the adapter at hand). */
export function step(
  kernel: KernelDefinition | Step["choose"],
  bind: Step["bind"],
  params: Step["params"],
  options: StepOptions = {},
): Step {
  const choose: Step["choose"] =
    typeof kernel === "function"
      ? kernel
      : () => ({ kernel, ...(options.overrides ? { overrides: options.overrides } : {}) });
  return {
    choose,
    bind,
    params,
    ...(options.when ? { when: options.when } : {}),
    ...(options.slice ? { slice: options.slice } : {}),
    ...(options.byParts ? { byParts: options.byParts } : {}),
  };
}

/** A step at given sizes: the sizes its params see, and the ranges it binds where it binds only a part. */
export interface SizedStep {
  readonly step: Step;
  readonly dims: Dims;
  readonly slices: Readonly<Record<string, readonly [first: number, count: number]>>;
}

/** The steps that apply at the sizes, those over a parameter in parts once a part, in the order of the rows. */
export function sizedSteps(steps: readonly Step[], dims: Dims): SizedStep[] {
  return steps.flatMap((step) => {
    if (!(step.when?.(dims) ?? true)) return [];
    const { byParts } = step;
    if (!byParts) return [{ step, dims, slices: step.slice?.(dims) ?? {} }];
    const V = resolveSize("V", dims);
    const { part = V } = dims;
    return Array.from({ length: Math.ceil(V / part) }, (_, index) => {
      const first = index * part;
      const own: Dims = { ...dims, first, V: Math.min(part, V - first), whole: V };
      const slices = Object.entries(byParts).map(([name, size]): [string, readonly [number, number]] => {
        const width = resolveSize(size, dims);
        return [name, [first * width, resolveSize("V", own) * width]];
      });
      return { step, dims: own, slices: part < V ? Object.fromEntries(slices) : {} };
    });
  });
}

/** Evaluates a size. Throws on an unknown name or a non-integer size where `dims` lacks it. */
export function resolveSize(size: Size, dims: Dims): number {
  if (typeof size === "number") return size;
  const value = typeof size === "function" ? size(dims) : dims[size];
  if (value === undefined || Number.isNaN(value)) throw new Error(`unknown size ${String(size)}`);
  return value;
}

/** Number of elements of a tensor. */
export function elementCount(spec: TensorSpec, dims: Dims): number {
  return spec.dims.reduce<number>((product, size) => product * resolveSize(size, dims), 1);
}
