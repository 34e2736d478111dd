/**
 * Buffers that results are copied to and mapped from, kept by size class and reused: a warm step creates none.
 * Large ones (weights on their way to a file) are rare and freed after use.
 */

import { type Allocator, USAGE } from "./allocator";

const SMALLEST = 256;
/** Classes up to this size are made several at once, enough for the steps that may be in flight. */
const RING_LIMIT = 4096;
const RING = 8;
const KEEP_LIMIT = 4_194_304;

export class StagingRing {
  private readonly free = new Map<number, GPUBuffer[]>();
  private readonly all = new Set<GPUBuffer>();

  constructor(private readonly allocator: Allocator) {}

  /** An unmapped staging buffer of at least `bytes`. */
  acquire(bytes: number): GPUBuffer {
    let size = SMALLEST;
    while (size < bytes) size *= 2;
    if (size > KEEP_LIMIT) size = Math.ceil(bytes / 4) * 4;
    const list = this.free.get(size) ?? [];
    if (list.length === 0) for (let i = 0; i < (size <= RING_LIMIT ? RING : 1); i++) list.push(this.create(size));
    this.free.set(size, list);
    const buffer = list.pop();
    if (buffer === undefined) throw new Error("staging ring is empty");
    return buffer;
  }

  /** Hands an unmapped buffer back. */
  release(buffer: GPUBuffer): void {
    if (!this.all.has(buffer)) return;
    if (buffer.size > KEEP_LIMIT) {
      this.all.delete(buffer);
      this.allocator.destroy(buffer);
    } else this.free.get(buffer.size)?.push(buffer);
  }

  private create(size: number): GPUBuffer {
    const buffer = this.allocator.create(`staging ${size}`, size, USAGE.MAP_READ | USAGE.COPY_DST);
    this.all.add(buffer);
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.all) this.allocator.destroy(buffer);
    this.all.clear();
    this.free.clear();
  }
}
