/**
 * Runs one op alone on the GPU, for tests: every tensor in its own buffer with guard words behind it, fresh buffers full
 * of NaN. The plan does the same work for real models; here nothing is shared, so that a stray write shows.
 */

import type { Dispatch, Gpu } from "../gpu/gpu";
import type { ElementType } from "../kernels/define";
import {
  type Capabilities,
  type Dims,
  elementCount,
  type OpDefinition,
  resolveSize,
  type Step,
  sizedSteps,
  type TensorSpec,
} from "./define";

const BYTES: Readonly<Record<ElementType, number>> = { f32: 4, i32: 4, u32: 4, f16: 2 };
const GUARD_WORDS = 64;
/** NaN as f32 and as two f16. Each tensor's guard has its own payload, since arithmetic hands payloads on. */
const JUNK = 0x7fff_7fff;
const guardWord = (tensor: number) => (0x7fc1 + tensor) * 0x1_0001;

/** Nearest f16, ties to even, as its 16 bits. */
function f16Bits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude || 1e-30)));
  const unit = 2 ** (exponent - 10);
  const steps = magnitude / unit;
  const floor = Math.floor(steps);
  const rest = steps - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  // A carry into the next exponent is the right number already.
  return sign | (rounded < 1024 ? rounded : rounded - 1024 + ((exponent + 15) << 10));
}

function f16Value(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const magnitude =
    exponent === 31
      ? fraction === 0
        ? Infinity
        : NaN
      : exponent === 0
        ? fraction * 2 ** -24
        : (1024 + fraction) * 2 ** (exponent - 25);
  return (bits & 0x8000) !== 0 ? -magnitude : magnitude;
}

/** The value that `type` stores for a number. */
export function roundTo(type: ElementType, value: number): number {
  if (type === "f32") return Math.fround(value);
  return type === "f16" ? f16Value(f16Bits(value)) : Math.trunc(value);
}

function encode(values: Float64Array, type: ElementType): Uint8Array<ArrayBuffer> {
  if (type === "f32") return new Uint8Array(Float32Array.from(values).buffer);
  if (type === "f16") return new Uint8Array(Uint16Array.from(values, f16Bits).buffer);
  return new Uint8Array(type === "i32" ? Int32Array.from(values).buffer : Uint32Array.from(values).buffer);
}

function decode(bytes: ArrayBuffer, type: ElementType, count: number): Float64Array {
  if (type === "f32") return Float64Array.from(new Float32Array(bytes, 0, count));
  if (type === "f16") return Float64Array.from(new Uint16Array(bytes, 0, count), f16Value);
  return Float64Array.from(type === "i32" ? new Int32Array(bytes, 0, count) : new Uint32Array(bytes, 0, count));
}

/** A tensor on the GPU with guard words behind it. */
class GuardedTensor {
  readonly words: number;
  readonly slice: ReturnType<Gpu["createBuffer"]>;

  constructor(
    private readonly gpu: Gpu,
    name: string,
    readonly type: ElementType,
    readonly count: number,
    readonly guard: number,
  ) {
    this.words = Math.ceil((count * BYTES[type]) / 4);
    this.slice = gpu.createBuffer(name, 4 * (this.words + GUARD_WORDS));
  }

  /** Sets the values (junk where null) and the guard. */
  set(values: Float64Array | null): void {
    const words = new Uint32Array(this.words + GUARD_WORDS)
      .fill(values === null ? JUNK : 0, 0, this.words)
      .fill(this.guard, this.words);
    if (values !== null) new Uint8Array(words.buffer).set(encode(values, this.type));
    this.gpu.write(this.slice, words);
  }
}

export interface RunResult {
  /** Values by tensor name: everything the phase wrote. */
  readonly values: Readonly<Record<string, Float64Array>>;
  /** The same as raw words, to compare bits. */
  readonly words: Readonly<Record<string, Uint32Array>>;
}

/** One op at one size on one device. `capabilities` may differ from the device's, to force other kernels. */
export class OpRunner {
  private readonly tensors = new Map<string, GuardedTensor>();
  private readonly types: Record<string, ElementType> = {};

  constructor(
    private readonly gpu: Gpu,
    readonly op: OpDefinition,
    readonly dims: Dims,
    private readonly capabilities: Capabilities,
    elements: Readonly<Record<string, ElementType>> = {},
  ) {
    const specs: Record<string, TensorSpec> = { ...op.inputs, ...op.outputs, ...op.scratch, ...op.backwardScratch };
    const add = (name: string, type: ElementType, spec: TensorSpec) => {
      const tensor = new GuardedTensor(gpu, name, type, elementCount(spec, dims), guardWord(this.tensors.size));
      tensor.set(null);
      this.tensors.set(name, tensor);
    };
    for (const [name, spec] of Object.entries(specs)) {
      const type = elements[name] ?? spec.type ?? "f32";
      this.types[name] = type;
      add(name, type, spec);
    }
    for (const [name, spec] of Object.entries({ ...op.inputs, ...op.outputs })) add(`d_${name}`, "f32", spec);
  }

  /** Kernels and overrides of the steps that apply: equal signatures compute the same. */
  choices(): { readonly names: string[]; readonly signature: string } {
    const choices = sizedSteps([...this.op.forward, ...this.op.backward], this.dims).map(({ step, dims }) =>
      step.choose(dims, this.capabilities, this.types),
    );
    const described = choices.map(({ kernel, overrides, elements }) => [kernel.name, overrides ?? {}, elements ?? {}]);
    return { names: choices.map((choice) => choice.kernel.name), signature: JSON.stringify(described) };
  }

  /** Runs the forward steps on `inputs`; every output and scratch starts as junk. */
  async forward(inputs: Readonly<Record<string, Float64Array>>): Promise<RunResult> {
    for (const name of Object.keys(this.op.inputs)) this.get(name).set(inputs[name] ?? new Float64Array(0));
    const written = [...Object.keys(this.op.outputs), ...Object.keys(this.op.scratch)];
    for (const name of written) this.get(name).set(null);
    this.gpu.submit(await this.prepare(this.op.forward, false));
    return this.collect(Object.keys(this.op.outputs), Object.keys(this.op.inputs));
  }

  /**
   * Runs the backward steps after forward(), whose steps run again: a backward pass may use up their scratch. Without `prior`, gradients start as junk and are written; with it, they
   * start as `prior` and every step adds.
   */
  async backward(
    gradients: Readonly<Record<string, Float64Array>>,
    prior: Readonly<Record<string, Float64Array>> | null,
  ): Promise<RunResult> {
    for (const name of Object.keys(this.op.backwardScratch)) this.get(name).set(null);
    for (const name of Object.keys(this.op.outputs)) this.get(`d_${name}`).set(gradients[name] ?? null);
    for (const name of Object.keys(this.op.inputs)) this.get(`d_${name}`).set(prior?.[name] ?? null);
    this.gpu.submit(await this.prepare(this.op.forward, false));
    this.gpu.submit(await this.prepare(this.op.backward, prior !== null));
    return this.collect(
      this.differentiableInputs().map((name) => `d_${name}`),
      [...Object.keys(this.op.inputs), ...Object.keys(this.op.outputs)],
    );
  }

  differentiableInputs(): string[] {
    return Object.entries(this.op.inputs)
      .filter(([, spec]) => spec.differentiable ?? (spec.type ?? "f32") === "f32")
      .map(([name]) => name);
  }

  destroy(): void {
    for (const tensor of this.tensors.values()) this.gpu.freeBuffer(tensor.slice);
  }

  private get(name: string): GuardedTensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new Error(`op ${this.op.name}: no tensor "${name}"`);
    return tensor;
  }

  private async prepare(steps: readonly Step[], accumulate: boolean): Promise<Dispatch[]> {
    const written = new Set<string>();
    const dispatches: Dispatch[] = [];
    for (const { step, dims, slices } of sizedSteps(steps, this.dims)) {
      const { kernel, overrides, elements } = step.choose(dims, this.capabilities, this.types);
      let adds = accumulate;
      let gradient = false;
      const bindings: Record<string, ReturnType<Gpu["createBuffer"]>> = {};
      for (const { name, access } of kernel.bindings) {
        const bound = step.bind[name];
        if (bound === undefined) throw new Error(`op ${this.op.name}: kernel ${kernel.name}: "${name}" is not bound`);
        const tensor = this.get(bound);
        const range = slices[bound];
        const bytes = BYTES[tensor.type];
        bindings[name] = range
          ? { buffer: tensor.slice.buffer, offset: range[0] * bytes, size: Math.ceil((range[1] * bytes) / 4) * 4 }
          : tensor.slice;
        if (access !== "read_write" || !bound.startsWith("d_")) continue;
        gradient = true;
        const key = `${bound} ${range?.[0] ?? 0}`;
        adds ||= written.has(key);
        written.add(key);
      }
      if (gradient && !("ACCUMULATE" in kernel.overrides))
        throw new Error(`op ${this.op.name}: kernel ${kernel.name} writes a gradient without the override ACCUMULATE`);
      dispatches.push(
        await this.gpu.dispatch({
          label: `${this.op.name} ${kernel.name}`,
          kernel,
          overrides: { ...overrides, ...(gradient ? { ACCUMULATE: adds ? 1 : 0 } : {}) },
          elements: elements ?? {},
          bindings,
          params: Object.fromEntries(
            Object.entries(step.params).map(([name, size]) => [name, resolveSize(size, dims)]),
          ),
        }),
      );
    }
    return dispatches;
  }

  /** Reads everything back; `untouched` tensors are compared by the caller. @throws Error where a guard word changed. */
  private async collect(wanted: readonly string[], untouched: readonly string[]): Promise<RunResult> {
    const values: Record<string, Float64Array> = {};
    const words: Record<string, Uint32Array> = {};
    const reads = [...this.tensors].map(async ([name, tensor]) => {
      const bytes = await this.gpu.readLater(tensor.slice);
      const all = new Uint32Array(bytes);
      all.subarray(tensor.words).forEach((word, i) => {
        if (word !== tensor.guard)
          throw new Error(`op ${this.op.name}: guard word ${i} behind "${name}" was overwritten`);
      });
      if (!wanted.includes(name) && !untouched.includes(name)) return;
      words[name] = all.slice(0, tensor.words);
      values[name] = decode(bytes, tensor.type, tensor.count);
    });
    await Promise.all(reads);
    return { values, words };
  }
}
