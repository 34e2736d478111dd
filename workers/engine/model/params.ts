/**
 * All parameters of a model on the GPU: weights, gradients and AdamW's moments as flat f32 arenas with the same layout,
 * so that the optimizer needs a handful of dispatches. Names are the Hugging Face names on disk. An arena is split into
 * shards where one binding would be too large. Padding between parameters stays zero for ever: its gradient is never
 * written.
 */

import { NagiError } from "../../../src/shared/errors";
import type { BufferSlice, Gpu } from "../gpu/gpu";
import type { ParameterSlices } from "../plan/execute";
import { alignUp } from "../plan/memory";
import { shapeSize } from "../plan/record";

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Frozen parameters have neither gradient nor moments. */
  readonly trainable: boolean;
}

/** The four arenas of one shard, each `elements` f32 long. */
export interface Shard {
  readonly elements: number;
  readonly weights: BufferSlice;
  readonly gradients: BufferSlice;
  readonly exp_avg: BufferSlice;
  readonly exp_avg_sq: BufferSlice;
}

export type ParameterKind = "weights" | "gradients" | "exp_avg" | "exp_avg_sq";

interface Entry extends ParameterSpec {
  readonly group: number;
  /** Bytes from the start of the shard. */
  readonly offset: number;
}

interface Group {
  readonly trainable: boolean;
  bytes: number;
}

const KINDS: readonly ParameterKind[] = ["weights", "gradients", "exp_avg", "exp_avg_sq"];

export class ParameterStore implements ParameterSlices {
  private constructor(
    private readonly gpu: Gpu,
    private readonly entries: ReadonlyMap<string, Entry>,
    private readonly arenas: readonly Readonly<Record<ParameterKind, BufferSlice | undefined>>[],
  ) {}

  /**
   * Allocates the arenas (zeroed).
   * @param largestBinding bytes of the largest arena; what the adapter binds, less only in tests.
   * @throws NagiError gpu.limit {what, needed, granted} (bytes) where one parameter is larger than a binding may be.
   */
  static create(
    gpu: Gpu,
    specs: readonly ParameterSpec[],
    largestBinding = gpu.capabilities.maxStorageBufferBindingSize,
  ): ParameterStore {
    const granted = Math.floor(largestBinding / 256) * 256;
    const groups: Group[] = [];
    const entries = new Map<string, Entry>();
    for (const spec of specs) {
      const bytes = alignUp(4 * shapeSize(spec.shape));
      if (bytes > granted)
        throw new NagiError(
          "gpu.limit",
          `tensor ${spec.name} needs ${bytes} bytes, the adapter binds at most ${granted} (maxStorageBufferBindingSize): ` +
            "use a smaller model or another adapter",
          { what: spec.name, needed: bytes, granted },
        );
      let group = groups.findIndex((one) => one.trainable === spec.trainable && one.bytes + bytes <= granted);
      if (group < 0) group = groups.push({ trainable: spec.trainable, bytes: 0 }) - 1;
      const home = groups[group];
      if (!home) throw new Error("no group");
      entries.set(spec.name, { ...spec, group, offset: home.bytes });
      home.bytes += bytes;
    }
    const arenas = groups.map(({ trainable, bytes }, index) => {
      const make = (kind: ParameterKind) =>
        kind === "weights" || trainable ? gpu.createBuffer(`${kind} ${index}`, bytes) : undefined;
      return {
        weights: make("weights"),
        gradients: make("gradients"),
        exp_avg: make("exp_avg"),
        exp_avg_sq: make("exp_avg_sq"),
      };
    });
    return new ParameterStore(gpu, entries, arenas);
  }

  /** Names in the order of creation. */
  get names(): string[] {
    return [...this.entries.keys()];
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

  shape(name: string): readonly number[] {
    return this.#entry(name).shape;
  }

  trainable(name: string): boolean {
    return this.#entry(name).trainable;
  }

  weight(name: string): BufferSlice {
    return this.#slice(name, "weights");
  }

  gradient(name: string): BufferSlice {
    return this.#slice(name, "gradients");
  }

  /**
   * Overwrites tensors on the GPU.
   * @throws NagiError model.tensor_missing {file, tensor} where a parameter (of moments: a trainable one) has no entry
   * in `tensors`, model.tensor_shape {tensor, expected, actual} where the number of elements differs.
   */
  load(kind: ParameterKind, tensors: ReadonlyMap<string, Float32Array>, source: string): void {
    for (const { name, shape, trainable } of this.entries.values()) {
      if (kind !== "weights" && !trainable) continue;
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
      this.gpu.write(this.#slice(name, kind), tensor);
    }
  }

  /** Copies of all tensors of a kind, as they are after the work submitted so far. */
  async read(kind: ParameterKind): Promise<Map<string, Float32Array>> {
    const slices = this.arenas.map((arena) => arena[kind]);
    const reads = this.gpu.submit(
      [],
      slices.filter((slice) => slice !== undefined),
    );
    const data: (ArrayBuffer | undefined)[] = [];
    for (const slice of slices) data.push(slice ? await reads.shift() : undefined);
    const tensors = new Map<string, Float32Array>();
    for (const { name, shape, group, offset } of this.entries.values()) {
      const bytes = data[group];
      if (bytes) tensors.set(name, new Float32Array(bytes, offset, shapeSize(shape)).slice());
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

  #entry(name: string): Entry {
    const entry = this.entries.get(name);
    if (!entry)
      throw new NagiError("model.tensor_missing", `the model has no tensor ${name}`, { file: "model", tensor: name });
    return entry;
  }

  #slice(name: string, kind: ParameterKind): BufferSlice {
    const { group, offset, shape } = this.#entry(name);
    const arena = this.arenas[group]?.[kind];
    if (!arena) throw new Error(`parameter ${name} is frozen: it has no ${kind}`);
    return { buffer: arena.buffer, offset, size: 4 * shapeSize(shape) };
  }
}
