/**
 * Recording a model: a plain function calls `graph.apply(op, inputs)` once per op, for one batch shape. Nothing runs here;
 * `schedule.ts` turns the record into steps, `execute.ts` into dispatches. Tensors are values: no op changes its inputs,
 * except state (a cache), which outlives the run and which an op changes in place where it says so.
 */

import type { ElementType } from "../kernels/define";
import type { Dims, OpDefinition, TensorSpec } from "../ops/define";
import { resolveSize } from "../ops/define";

export type TensorKind = "parameter" | "input" | "state" | "value";

/** A tensor of the recorded graph. Sizes are fixed numbers: a graph belongs to one batch shape. */
export interface Tensor {
  readonly id: number;
  readonly name: string;
  readonly kind: TensorKind;
  readonly shape: readonly number[];
  readonly type: ElementType;
  /** Parameters: whether a gradient is wanted. Values: whether a trainable parameter lies upstream. Inputs: false. */
  readonly needsGradient: boolean;
  /** Rows of each part where a parameter is stored in parts; ops see it as the dim `part`. */
  readonly partRows?: number;
}

/** One recorded op. */
export interface Node {
  /** Readable and unique: op name and running number. */
  readonly label: string;
  readonly op: OpDefinition;
  /** Op tensor name -> tensor. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Sizes by dim name, and the attributes. */
  readonly dims: Dims;
  /** Number of the segment it was recorded in; undefined outside of all. */
  readonly segment: number | undefined;
}

export interface ParameterOptions {
  /** false: frozen, no gradient is computed for it. */
  readonly trainable: boolean;
  /** How it is stored; default "f32". */
  readonly element?: ElementType;
  /** Rows of each part, where it is too large for one binding. */
  readonly partRows?: number | undefined;
}

export function shapeSize(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

export class Graph {
  readonly nodes: Node[] = [];
  readonly tensors: Tensor[] = [];
  readonly parameters = new Map<string, Tensor>();
  readonly inputs = new Map<string, Tensor>();
  readonly states = new Map<string, Tensor>();
  #segments = 0;
  #segment: number | undefined;

  /**
   * What `record` records is one segment: a plan may keep only what others use of it, and compute the rest again when the
   * backward pass gets there. A layer of a model, usually.
   */
  segment<T>(record: () => T): T {
    if (this.#segment !== undefined) throw new Error("segments cannot be nested");
    this.#segment = this.#segments++;
    try {
      return record();
    } finally {
      this.#segment = undefined;
    }
  }

  /** A weight, by its Hugging Face name. The same name and shape again is the same tensor (tied weights). */
  parameter(name: string, shape: readonly number[], options: ParameterOptions): Tensor {
    const known = this.parameters.get(name);
    if (known) {
      if (known.shape.join() !== shape.join())
        throw new Error(`parameter ${name} recorded with shapes [${known.shape.join()}] and [${shape.join()}]`);
      return known;
    }
    const { element = "f32", trainable, partRows } = options;
    const tensor = this.#tensor(name, "parameter", shape, element, trainable, partRows);
    this.parameters.set(name, tensor);
    return tensor;
  }

  /** Data of the batch, written before each run. Never differentiated. */
  input(name: string, shape: readonly number[], type: ElementType): Tensor {
    if (this.inputs.has(name)) throw new Error(`input ${name} recorded twice`);
    const tensor = this.#tensor(name, "input", shape, type, false);
    this.inputs.set(name, tensor);
    return tensor;
  }

  /**
   * Memory of the caller that keeps its contents from run to run: ops may read it, and change it where they say so
   * (`updates`). Ops see it as those recorded before them left it. Never differentiated.
   */
  state(name: string, shape: readonly number[], type: ElementType): Tensor {
    if (this.states.has(name)) throw new Error(`state ${name} recorded twice`);
    const tensor = this.#tensor(name, "state", shape, type, false);
    this.states.set(name, tensor);
    return tensor;
  }

  /**
   * Records one op. Dims are read off the input shapes and checked against each other; output shapes follow.
   * @param attributes numbers of the op that are not sizes (eps, heads, ...).
   * @throws Error where an input is missing, unknown, of another rank or type, or where two sizes disagree.
   */
  apply(
    op: OpDefinition,
    inputs: Readonly<Record<string, Tensor>>,
    attributes: Readonly<Record<string, number>> = {},
  ): Record<string, Tensor> {
    const label = `${op.name}#${this.nodes.length}`;
    const dims = inferDims(op, inputs, attributes, label);
    for (const name of op.updates)
      if (inputs[name]?.kind !== "state")
        throw new Error(`${label}: "${name}" is changed in place: it must be a state`);
    const needsGradient = Object.entries(op.inputs).some(
      ([name, spec]) => isDifferentiable(spec) && inputs[name]?.needsGradient === true,
    );
    const outputs: Record<string, Tensor> = {};
    for (const [name, spec] of Object.entries(op.outputs)) {
      const differentiable = needsGradient && isDifferentiable(spec) && !op.saved.includes(name);
      const shape = spec.dims.map((size) => resolveSize(size, dims));
      outputs[name] = this.#tensor(`${label}.${name}`, "value", shape, spec.type ?? "f32", differentiable);
    }
    this.nodes.push({ label, op, inputs, outputs, dims, segment: this.#segment });
    return outputs;
  }

  #tensor(
    name: string,
    kind: TensorKind,
    shape: readonly number[],
    type: ElementType,
    needsGradient: boolean,
    partRows?: number,
  ): Tensor {
    if (shape.some((size) => !Number.isInteger(size) || size < 0))
      throw new Error(`tensor ${name} has an impossible shape [${shape.join()}]`);
    const parts = partRows === undefined ? {} : { partRows };
    const tensor: Tensor = { id: this.tensors.length, name, kind, shape: [...shape], type, needsGradient, ...parts };
    this.tensors.push(tensor);
    return tensor;
  }
}

/** The one output of an op, or the named one; saves every caller the undefined check. */
export function output(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const tensor = outputs[name];
  if (!tensor) throw new Error(`no output "${name}" among ${Object.keys(outputs).join(", ")}`);
  return tensor;
}

export function isDifferentiable(spec: TensorSpec): boolean {
  return spec.differentiable ?? ((spec.type ?? "f32") === "f32" || spec.type === "f16");
}

/** Weights may be stored as f16 where the op says f32; integers must match exactly. */
function typesFit(wanted: ElementType, given: ElementType): boolean {
  return wanted === given || (wanted === "f32" && given === "f16");
}

function inferDims(
  op: OpDefinition,
  inputs: Readonly<Record<string, Tensor>>,
  attributes: Readonly<Record<string, number>>,
  label: string,
): Dims {
  const dims: Record<string, number> = {};
  for (const name of op.attributes) {
    const value = attributes[name];
    if (value === undefined || Number.isNaN(value)) throw new Error(`${label}: attribute "${name}" is missing`);
    dims[name] = value;
  }
  for (const name of Object.keys(attributes))
    if (!op.attributes.includes(name)) throw new Error(`${label}: unknown attribute "${name}"`);
  for (const name of Object.keys(inputs))
    if (!(name in op.inputs)) throw new Error(`${label}: unknown input "${name}"`);

  // Named dims first, so that sizes that are functions of them can be checked whatever the order of the inputs.
  const computed: [name: string, axis: number, size: TensorSpec["dims"][number], given: number][] = [];
  for (const [name, spec] of Object.entries(op.inputs)) {
    const tensor = inputs[name];
    if (!tensor) throw new Error(`${label}: input "${name}" is missing`);
    if (!typesFit(spec.type ?? "f32", tensor.type))
      throw new Error(`${label}: input "${name}" is ${tensor.type}, the op wants ${spec.type ?? "f32"}`);
    if (tensor.shape.length !== spec.dims.length)
      throw new Error(
        `${label}: input "${name}" has shape [${tensor.shape.join()}], the op wants ${spec.dims.length} dims`,
      );
    if (tensor.partRows !== undefined) {
      if (dims.part !== undefined && dims.part !== tensor.partRows)
        throw new Error(`${label}: inputs are stored in parts of ${dims.part} and of ${tensor.partRows} rows`);
      dims.part = tensor.partRows;
    }
    spec.dims.forEach((size, axis) => {
      const given = tensor.shape[axis] ?? 0;
      if (typeof size !== "string") computed.push([name, axis, size, given]);
      else if (dims[size] === undefined) dims[size] = given;
      else if (dims[size] !== given)
        throw new Error(`${label}: dim ${size} is ${dims[size]} and, in "${name}" (${tensor.name}), ${given}`);
    });
  }
  for (const [name, axis, size, given] of computed) {
    const wanted = resolveSize(size, dims);
    if (wanted !== given)
      throw new Error(`${label}: input "${name}" has ${given} along axis ${axis}, the op wants ${wanted}`);
  }
  return dims;
}
