/**
 * A plan: every dispatch of a recorded graph, ready to be replayed. Compiling creates pipelines, memory and bind groups;
 * a run uploads the batch, submits the list and waits for nothing.
 */

import { NagiError } from "../../../src/shared/errors";
import type { BufferSlice, Dispatch, Gpu } from "../gpu/gpu";
import type { ElementType } from "../kernels/define";
import type { Arena } from "./arena";
import { arenaBlocks, bindingBytes, VECTOR_BYTES } from "./blocks";
import { alignUp } from "./memory";
import { type Graph, shapeSize, type Tensor } from "./record";
import { type Schedule, schedule } from "./schedule";
import { type Binding, ELEMENT_BYTES, type Recompute, type Resource, type ScheduledStep } from "./steps";

/**
 * Where parameters live; model/params.ts implements it. Behind each slice there is room up to the next multiple of 16
 * bytes, which kernels may read as part of a vector.
 */
export interface ParameterSlices {
  /** @param part counted from 0, where it is stored in parts. @throws NagiError model.tensor_missing */
  weight(name: string, part: number): BufferSlice;
  /** The gradient of a trainable parameter, in f32 and in the same parts. */
  gradient(name: string, part: number): BufferSlice;
  shape(name: string): readonly number[];
}

export interface PlanSpec {
  readonly label: string;
  /** Its gradient is computed for every trainable parameter; none: forward only. */
  readonly loss?: Tensor;
  /** Tensors that stay readable until the arena's next run. */
  readonly outputs: readonly Tensor[];
  readonly parameters: ParameterSlices;
  readonly arena: Arena;
  /** Where each state of the graph is; at least as large as the graph says, rounded up to whole vec4s. */
  readonly states?: ReadonlyMap<string, BufferSlice>;
  /** What is computed again in the backward pass: the same numbers in less memory and more time. Default: nothing. */
  readonly recompute?: Recompute;
}

/** One prepared list of dispatches and where its outputs are after it ran. */
export class Variant {
  constructor(
    readonly dispatches: readonly Dispatch[],
    private readonly outputs: ReadonlyMap<Tensor, BufferSlice>,
  ) {}

  /** Where an output is after a run, until the arena's next run. Exactly the tensor's bytes. */
  output(tensor: Tensor): BufferSlice {
    const slice = this.outputs.get(tensor);
    if (!slice) throw new Error(`${tensor.name} is not an output of this plan`);
    return slice;
  }
}

interface InputPlace {
  readonly offset: number;
  readonly length: number;
  readonly type: ElementType;
}

export class Plan {
  #accumulating: Promise<Variant> | undefined;

  constructor(
    /** Parameter gradients are written: the first micro-batch of a step. */
    readonly writing: Variant,
    private readonly gpu: Gpu,
    private readonly batch: BufferSlice,
    private readonly staging: ArrayBuffer,
    private readonly inputs: ReadonlyMap<string, InputPlace>,
    private readonly compileAccumulating: () => Promise<Variant>,
  ) {}

  /** The host copy of an i32 input, to be filled before upload(). Contents survive from run to run. */
  integers(name: string): Int32Array<ArrayBuffer> {
    const { offset, length } = this.#input(name, "i32");
    return new Int32Array(this.staging, offset, length);
  }

  /** The host copy of an f32 input. */
  floats(name: string): Float32Array<ArrayBuffer> {
    const { offset, length } = this.#input(name, "f32");
    return new Float32Array(this.staging, offset, length);
  }

  /** Sends all inputs to the GPU in one write, ordered with submits. */
  upload(): void {
    this.gpu.write(this.batch, new Uint8Array(this.staging));
  }

  /** Parameter gradients are added to what is there: later micro-batches of a step. Made at the first call. */
  accumulating(): Promise<Variant> {
    this.#accumulating ??= this.compileAccumulating();
    return this.#accumulating;
  }

  /** Uploads the inputs, submits the writing variant and waits for nothing. */
  run(): void {
    this.upload();
    this.gpu.submit(this.writing.dispatches);
  }

  #input(name: string, type: ElementType): InputPlace {
    const input = this.inputs.get(name);
    if (!input) throw new Error(`the plan has no input "${name}"`);
    if (input.type !== type) throw new Error(`input "${name}" is ${input.type}, not ${type}`);
    return input;
  }
}

/**
 * Compiles a graph.
 * @throws NagiError gpu.limit where a tensor is larger than a binding may be; model.tensor_shape {tensor, expected,
 * actual} where the store holds a parameter of another shape.
 */
export async function compilePlan(gpu: Gpu, graph: Graph, spec: PlanSpec): Promise<Plan> {
  const { parameters, arena, outputs, loss } = spec;
  for (const [name, tensor] of graph.parameters) checkShape(name, tensor.shape, parameters.shape(name));

  const places = new Map<string, InputPlace>();
  let batchBytes = 0;
  for (const [name, tensor] of graph.inputs) {
    const length = shapeSize(tensor.shape);
    places.set(name, { offset: batchBytes, length, type: tensor.type });
    batchBytes = alignUp(batchBytes + bindingBytes(length, ELEMENT_BYTES[tensor.type]));
  }
  const batch = arena.own(`batch ${spec.label}`, Math.max(VECTOR_BYTES, batchBytes));

  // The two variants mostly make the same dispatches; what is equal is made once.
  const made = new Map<string, Promise<Dispatch>>();
  const compile = async (accumulate: boolean): Promise<Variant> => {
    const { recompute = "nothing" } = spec;
    const options = { ...(loss ? { loss } : {}), outputs, accumulate, capabilities: gpu.capabilities, recompute };
    const derived = schedule(graph, options);
    const slices = assign(derived, spec, (name) => {
      const input = places.get(name);
      if (!input) throw new Error(`the graph has no input "${name}"`);
      return { ...batch, offset: batch.offset + input.offset };
    });
    const dispatches = derived.steps.map((step) => {
      const bindings = bindingSlices(step, slices);
      const key = dispatchKey(step, bindings);
      const known = made.get(key);
      if (known) return known;
      const { label, kernel, overrides, elements, params } = step;
      const dispatch = gpu.dispatch({ label, kernel, overrides, elements, bindings, params });
      made.set(key, dispatch);
      return dispatch;
    });
    const outputSlices = new Map<Tensor, BufferSlice>();
    for (const [tensor, resource] of derived.outputs) {
      const [slice] = slices.get(resource) ?? [];
      if (!slice) throw new Error(`output ${tensor.name} is computed by no step`);
      outputSlices.set(tensor, { ...slice, size: shapeSize(tensor.shape) * ELEMENT_BYTES[tensor.type] });
    }
    return new Variant(await Promise.all(dispatches), outputSlices);
  };
  const writing = await compile(false);
  return new Plan(writing, gpu, batch, new ArrayBuffer(batch.size), places, () => compile(true));
}

function checkShape(name: string, wanted: readonly number[], found: readonly number[]): void {
  if (wanted.join() === found.join()) return;
  const [expected, given] = [wanted.join(", "), found.join(", ")];
  throw new NagiError("model.tensor_shape", `tensor ${name} has shape [${given}], the model wants [${expected}]`, {
    tensor: name,
    expected,
    actual: given,
  });
}

/** A slice for every resource the schedule touches, one for each part where it is stored in parts. */
function assign(
  derived: Schedule,
  spec: PlanSpec,
  input: (name: string) => BufferSlice,
): ReadonlyMap<Resource, readonly BufferSlice[]> {
  const slices = new Map<Resource, readonly BufferSlice[]>();
  const parameter = (resource: Resource, slice: (name: string, part: number) => BufferSlice) => {
    const { name, elements, partElements = elements } = resource;
    return Array.from({ length: Math.ceil(elements / partElements) }, (_, part) => slice(name, part));
  };
  for (const step of derived.steps)
    for (const { resource } of Object.values(step.bindings)) {
      const bytes = bindingBytes(resource.elements, ELEMENT_BYTES[resource.type]);
      const { kind, name } = resource;
      if (kind !== "arena" && !slices.has(resource)) {
        const { parameters, arena } = spec;
        if (kind === "weight") slices.set(resource, parameter(resource, parameters.weight.bind(parameters)));
        else if (kind === "gradient") slices.set(resource, parameter(resource, parameters.gradient.bind(parameters)));
        else if (kind === "input") slices.set(resource, [{ ...input(name), size: bytes }]);
        else if (kind === "state") slices.set(resource, [{ ...stateSlice(spec, name, bytes), size: bytes }]);
        else slices.set(resource, [kind === "seed" ? arena.ones() : arena.zeros(bytes)]);
      }
    }
  const { resources, blocks } = arenaBlocks(derived);
  const placed = spec.arena.place(blocks);
  resources.forEach((resource, index) => {
    const slice = placed[index];
    if (slice) slices.set(resource, [slice]);
  });
  return slices;
}

function stateSlice({ label, states }: PlanSpec, name: string, bytes: number): BufferSlice {
  const slice = states?.get(name);
  if (!slice || slice.size < bytes)
    throw new Error(`plan ${label}: state "${name}" has ${slice?.size ?? 0} bytes, it needs ${bytes}`);
  return slice;
}

function bindingSlices(
  step: ScheduledStep,
  slices: ReadonlyMap<Resource, readonly BufferSlice[]>,
): Record<string, BufferSlice> {
  const bound = (name: string, { resource, first, count }: Binding): BufferSlice => {
    const { elements, partElements = elements } = resource;
    const part = Math.floor(first / Math.max(1, partElements));
    const slice = slices.get(resource)?.[part];
    if (!slice) throw new Error(`${step.label}: "${name}" (${resource.name}) has no memory`);
    const bytes = ELEMENT_BYTES[resource.type];
    const offset = slice.offset + (first - part * partElements) * bytes;
    return { buffer: slice.buffer, offset, size: bindingBytes(count, bytes) };
  };
  return Object.fromEntries(Object.entries(step.bindings).map(([name, binding]) => [name, bound(name, binding)]));
}

/** Equal keys make equal dispatches. */
const bufferIds = new WeakMap<GPUBuffer, number>();
let buffersSeen = 0;

function dispatchKey(step: ScheduledStep, bindings: Readonly<Record<string, BufferSlice>>): string {
  const places = Object.entries(bindings).map(([name, { buffer, offset, size }]) => {
    const id = bufferIds.get(buffer) ?? buffersSeen++;
    bufferIds.set(buffer, id);
    return `${name}@${id}+${offset}:${size}`;
  });
  return JSON.stringify([step.kernel.name, step.overrides, step.elements, step.params, places]);
}
