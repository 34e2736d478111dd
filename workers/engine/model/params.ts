/**
 * All parameters of a model on the GPU: weights, gradients and AdamW's moments as flat arenas with the same layout, so
 * that the optimizer needs a handful of dispatches. What is trained is f32, frozen matrices may be f16. Names are the
 * names on disk: Hugging Face's, and PEFT's for adapters. Padding between parameters stays zero for ever: its gradient is
 * never written.
 */

import { NagiError } from "../../../src/shared/errors";
import type { BufferSlice, Gpu } from "../gpu/gpu";
import { fromFloat32, toFloat32 } from "../io/dtype";
import { piecesOfTensor, type Tensors } from "../io/tensors";
import type { ParameterSlices } from "../plan/execute";
import { shapeSize } from "../plan/record";
import type { LoraOptions } from "./lora";
import type { ParameterInfo } from "./neox";
import { type ParameterElement, ParameterLayout, type ParameterSpec, storedBytes } from "./parameter-layout";

export type { ParameterSpec } from "./parameter-layout";

/** The four arenas of one shard, each `elements` f32 long. */
export interface Shard {
  readonly elements: number;
  readonly weights: BufferSlice;
  readonly gradients: BufferSlice;
  readonly exp_avg: BufferSlice;
  readonly exp_avg_sq: BufferSlice;
}

export type ParameterKind = "weights" | "gradients" | "exp_avg" | "exp_avg_sq";

export interface StoreOptions {
  /** Bytes of the largest arena; what the adapter binds, less only in tests. */
  readonly largestBinding?: number;
  /** Of the adapters among the parameters. */
  readonly lora?: LoraOptions;
}

const KINDS: readonly ParameterKind[] = ["weights", "gradients", "exp_avg", "exp_avg_sq"];

/** Bytes that are written before the GPU is waited for: what it has not taken yet is memory of this process. */
const WRITE_AHEAD = 32 << 20;

/** Above it a half is infinite. */
const LARGEST_HALF = 65_504;

export class ParameterStore implements ParameterSlices, ParameterInfo {
  private constructor(
    private readonly gpu: Gpu,
    private readonly layout: ParameterLayout,
    private readonly arenas: readonly Readonly<Record<ParameterKind, BufferSlice | undefined>>[],
  ) {}

  /**
   * Allocates the arenas (zeroed).
   * @throws NagiError gpu.limit {what, needed, granted} (bytes) where one parameter is larger than a binding may be and
   * cannot be stored in parts.
   */
  static create(gpu: Gpu, specs: readonly ParameterSpec[], options: StoreOptions = {}): ParameterStore {
    const { largestBinding = gpu.capabilities.maxStorageBufferBindingSize, lora } = options;
    return ParameterStore.allocate(gpu, ParameterLayout.of(specs, largestBinding, lora));
  }

  /** Allocates the arenas of a layout (zeroed). */
  static allocate(gpu: Gpu, layout: ParameterLayout): ParameterStore {
    const arenas = layout.groups.map(({ trainable, bytes }, index) => {
      const make = (kind: ParameterKind) =>
        kind === "weights" || trainable ? gpu.createBuffer(`${kind} ${index}`, bytes) : undefined;
      return {
        weights: make("weights"),
        gradients: make("gradients"),
        exp_avg: make("exp_avg"),
        exp_avg_sq: make("exp_avg_sq"),
      };
    });
    return new ParameterStore(gpu, layout, arenas);
  }

  /** Names in the order of creation. */
  get names(): string[] {
    return [...this.layout.places.keys()];
  }

  /** Number of trained values. */
  get trainedCount(): number {
    let count = 0;
    for (const { shape, trainable } of this.layout.places.values()) if (trainable) count += shapeSize(shape);
    return count;
  }

  get lora(): LoraOptions | undefined {
    return this.layout.lora;
  }

  /** Bytes of GPU memory, by arena kind. */
  get bytes(): Record<ParameterKind, number> {
    const total = { weights: 0, gradients: 0, exp_avg: 0, exp_avg_sq: 0 };
    for (const arena of this.arenas) for (const kind of KINDS) total[kind] += arena[kind]?.size ?? 0;
    return total;
  }

  /** Arenas with gradients, for the optimizer. */
  get shards(): Shard[] {
    return this.arenas.flatMap(({ weights, gradients, exp_avg, exp_avg_sq }) =>
      weights && gradients && exp_avg && exp_avg_sq
        ? [{ elements: weights.size / 4, weights, gradients, exp_avg, exp_avg_sq }]
        : [],
    );
  }

  has(name: string): boolean {
    return this.layout.has(name);
  }

  shape(name: string): readonly number[] {
    return this.layout.shape(name);
  }

  trainable(name: string): boolean {
    return this.layout.trainable(name);
  }

  element(name: string): ParameterElement {
    return this.layout.element(name);
  }

  partRows(name: string): number | undefined {
    return this.layout.partRows(name);
  }

  /** In how many parts it is stored. */
  parts(name: string): number {
    return this.layout.place(name).parts.length;
  }

  weight(name: string, part = 0): BufferSlice {
    return this.#slice(name, "weights", part);
  }

  gradient(name: string, part = 0): BufferSlice {
    return this.#slice(name, "gradients", part);
  }

  /**
   * Overwrites tensors on the GPU: all of them, or those that are trained (gradients and moments: always those). Each is
   * read when it is its turn, piece by piece; no more than WRITE_AHEAD bytes wait for the GPU.
   * Rejects with NagiError model.tensor_missing {file, tensor} where one has no entry in `tensors`, model.tensor_shape
   * {tensor, expected, actual} where the number of elements differs, model.tensor_type {file, tensor, dtype} where a value
   * is too large for the f16 it is to be stored as, and as the tensors' source does.
   */
  async load(kind: ParameterKind, tensors: Tensors, source: string, which: "all" | "trained" = "all"): Promise<void> {
    let waiting = 0;
    for (const { name, shape, trainable } of this.layout.places.values()) {
      if (!trainable && (kind !== "weights" || which === "trained")) continue;
      const tensor = tensors.get(name);
      if (!tensor)
        throw new NagiError("model.tensor_missing", `${source}: the tensor ${name} is missing`, {
          file: source,
          tensor: name,
        });
      if (tensor.length !== shapeSize(shape))
        throw new NagiError(
          "model.tensor_shape",
          `${source}: tensor ${name} has ${tensor.length} elements, the model wants [${shape.join(", ")}]`,
          { tensor: name, expected: shape.join(", "), actual: String(tensor.length) },
        );
      let first = 0;
      for await (const piece of piecesOfTensor(tensor)) {
        this.#write(kind, name, first, piece, source);
        first += piece.length;
        waiting += piece.byteLength;
        if (waiting < WRITE_AHEAD) continue;
        await this.gpu.read({ ...this.#slice(name, kind, 0), size: 4 });
        waiting = 0;
      }
    }
  }

  /** Overwrites elements from `first` (even) on; all pieces of a parameter but its last have an even length. */
  #write(kind: ParameterKind, name: string, first: number, piece: Float32Array, source: string): void {
    const half = kind === "weights" && this.layout.element(name) === "f16";
    const end = first + piece.length;
    for (const [index, part] of this.layout.place(name).parts.entries()) {
      const from = Math.max(first, part.first);
      const to = Math.min(end, part.first + part.count);
      if (from >= to) continue;
      const values = piece.subarray(from - first, to - first);
      const slice = this.#slice(name, kind, index);
      const skipped = (half ? 2 : 4) * (from - part.first);
      const target = { ...slice, offset: slice.offset + skipped, size: slice.size - skipped };
      this.gpu.write(target, half ? halves(values, name, source) : values);
    }
  }

  /**
   * Copies of all tensors of a kind (weights: or of those that are trained), after the work submitted so far. One arena
   * after another, so that no more than one is copied at a time: nothing may change them until it is done.
   */
  async read(kind: ParameterKind, which: "all" | "trained" = "all"): Promise<Map<string, Float32Array>> {
    const tensors = new Map<string, Float32Array>();
    const places = [...this.layout.places.values()].filter(
      ({ trainable }) => trainable || (kind === "weights" && which === "all"),
    );
    for (const { name, shape } of places) tensors.set(name, new Float32Array(shapeSize(shape)));
    for (const [index, arena] of this.arenas.entries()) {
      const parts = places.flatMap(({ name, element, parts }) =>
        parts.filter(({ group }) => group === index).map((part) => ({ name, element, ...part })),
      );
      const slice = arena[kind];
      if (parts.length === 0 || !slice) continue;
      const bytes = await this.gpu.read(slice);
      for (const { name, element, offset, first, count } of parts) {
        const stored = new Uint8Array(bytes, offset, storedBytes(element, count));
        tensors.get(name)?.set(toFloat32(stored, element === "f16" ? "F16" : "F32"), first);
      }
    }
    return tensors;
  }

  destroy(): void {
    for (const arena of this.arenas)
      for (const kind of KINDS) {
        const slice = arena[kind];
        if (slice) this.gpu.freeBuffer(slice);
      }
  }

  #slice(name: string, kind: ParameterKind, part: number): BufferSlice {
    const { element, parts } = this.layout.place(name);
    const place = parts[part];
    if (!place) throw new Error(`parameter ${name} has no part ${part}`);
    const arena = this.arenas[place.group]?.[kind];
    if (!arena) throw new Error(`parameter ${name} is frozen: it has no ${kind}`);
    // An odd number of halves ends within a word; the room behind it is padding.
    const size = Math.ceil(storedBytes(element, place.count) / 4) * 4;
    return { buffer: arena.buffer, offset: place.offset, size };
  }
}

function halves(tensor: Float32Array, name: string, source: string): Uint8Array {
  const large = tensor.find((value) => Math.abs(value) > LARGEST_HALF);
  if (large !== undefined)
    throw new NagiError(
      "model.tensor_type",
      `${source}: tensor ${name} holds ${large}, which f16 cannot: keep the frozen weights in f32`,
      { file: source, tensor: name, dtype: "F16" },
    );
  const bytes = new Uint8Array(2 * tensor.length);
  fromFloat32(tensor, "F16", bytes, 0);
  return bytes;
}
