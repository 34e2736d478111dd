/**
 * The buffers that plans share for activations. Plans never run at the same time and keep nothing from run to run, so
 * the memory of the largest plan serves all: compile that one first.
 */

import { NagiError } from "../../../src/shared/errors";
import type { BufferSlice, Gpu } from "../gpu/gpu";
import { alignUp, at, type Block, fitsInto, layOut } from "./memory";

export class Arena {
  #banks: BufferSlice[] = [];
  readonly #all: BufferSlice[] = [];
  /** Earlier layouts: a smaller batch of the same graph lies where the larger one does. */
  readonly #known: { readonly blocks: readonly Block[]; readonly slices: readonly BufferSlice[] }[] = [];
  #ones: BufferSlice | undefined;
  #zeros: BufferSlice | undefined;

  constructor(private readonly gpu: Gpu) {}

  /** Bytes of all buffers held, outgrown ones included. */
  get bytes(): number {
    return this.#all.reduce((sum, slice) => sum + slice.size, 0);
  }

  /**
   * A slice for each block. Banks that are too small are replaced; plans compiled before keep the old ones.
   * @throws NagiError gpu.limit {what, needed, granted} where one block is larger than a binding may be.
   */
  place(blocks: readonly Block[]): BufferSlice[] {
    const granted = this.gpu.capabilities.maxStorageBufferBindingSize;
    for (const { label, bytes } of blocks)
      if (bytes > granted)
        throw new NagiError(
          "gpu.limit",
          `"${label}" needs ${bytes} bytes, the adapter binds at most ${granted} (maxStorageBufferBindingSize): use fewer tokens a micro-batch or a smaller model`,
          { what: label, needed: bytes, granted },
        );
    const known = this.#known.find((one) => fitsInto(blocks, one.blocks));
    if (known) return blocks.map((block, index) => ({ ...at(known.slices, index), size: block.bytes }));
    const capacities = this.#banks.map((bank) => bank.size);
    const layout = layOut(blocks, capacities, Math.floor(granted / 256) * 256);
    layout.banks.forEach((bytes, index) => {
      if (bytes > (this.#banks[index]?.size ?? 0)) this.#banks[index] = this.#create(`activations ${index}`, bytes);
    });
    const slices = blocks.map(({ bytes }, index) => {
      const { bank, offset } = at(layout.placements, index);
      return { buffer: at(this.#banks, bank).buffer, offset, size: bytes };
    });
    this.#known.push({ blocks, slices });
    return slices;
  }

  /** A constant [1] of 1.0: the gradient of the loss with respect to itself. */
  ones(): BufferSlice {
    if (!this.#ones) {
      this.#ones = this.#create("one", 16);
      this.gpu.write(this.#ones, new Float32Array([1, 1, 1, 1]));
    }
    return this.#ones;
  }

  /** Zeros that nobody writes: the gradient of outputs that nothing used. */
  zeros(bytes: number): BufferSlice {
    if (!this.#zeros || this.#zeros.size < bytes) this.#zeros = this.#create("zeros", alignUp(bytes));
    return { ...this.#zeros, size: bytes };
  }

  /** A buffer of its own that is freed with the arena (batch data of a plan). */
  own(label: string, bytes: number): BufferSlice {
    return this.#create(label, bytes);
  }

  destroy(): void {
    for (const slice of this.#all) this.gpu.freeBuffer(slice);
    this.#all.length = 0;
    this.#banks = [];
    this.#known.length = 0;
    this.#ones = undefined;
    this.#zeros = undefined;
  }

  #create(label: string, bytes: number): BufferSlice {
    const slice = this.gpu.createBuffer(label, bytes);
    this.#all.push(slice);
    return slice;
  }
}
