/**
 * Params of all dispatches, in a few uniform buffers at 256-byte offsets. Params never change after creation (what
 * varies by step lives in storage buffers), so equal contents share one slot.
 */

import type { KernelDefinition } from "../kernels/define";
import { type Allocator, type BufferSlice, USAGE } from "./allocator";
import type { EngineDevice } from "./device";

const PAGE = 262_144;
const ALIGN = 256;

/** Params as bytes in the order of the definition. @throws Error on a missing, unknown or unrepresentable value. */
export function packParams(kernel: KernelDefinition, params: Readonly<Record<string, number>>): ArrayBuffer {
  const bytes = new ArrayBuffer(Math.ceil(kernel.params.length / 4) * 16);
  const view = new DataView(bytes);
  kernel.params.forEach(({ name, type }, index) => {
    const value = params[name];
    if (value === undefined) throw new Error(`kernel ${kernel.name}: param "${name}" is missing`);
    if (type === "u32") {
      if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff)
        throw new Error(`kernel ${kernel.name}: param "${name}" is not a u32: ${value}`);
      view.setUint32(4 * index, value, true);
    } else {
      if (!Number.isFinite(value)) throw new Error(`kernel ${kernel.name}: param "${name}" is not finite: ${value}`);
      view.setFloat32(4 * index, value, true);
    }
  });
  const known = new Set(kernel.params.map((param) => param.name));
  for (const name of Object.keys(params))
    if (!known.has(name)) throw new Error(`kernel ${kernel.name}: unknown param "${name}"`);
  return bytes;
}

export class UniformArena {
  private page: GPUBuffer | null = null;
  private used = 0;
  private readonly slots = new Map<string, BufferSlice>();
  private readonly pages: GPUBuffer[] = [];

  constructor(
    private readonly queue: EngineDevice["queue"],
    private readonly allocator: Allocator,
  ) {}

  /** A slot that holds `bytes` (a multiple of 16, at most 256). */
  slot(bytes: ArrayBuffer): BufferSlice {
    if (bytes.byteLength > ALIGN) throw new Error(`params of ${bytes.byteLength} bytes: at most ${ALIGN}`);
    const key = new Uint32Array(bytes).join(",");
    const known = this.slots.get(key);
    if (known) return known;
    if (this.page === null || this.used + ALIGN > PAGE) {
      this.page = this.allocator.create(`uniforms ${this.pages.length}`, PAGE, USAGE.UNIFORM | USAGE.COPY_DST);
      this.pages.push(this.page);
      this.used = 0;
    }
    const slice = { buffer: this.page, offset: this.used, size: bytes.byteLength };
    this.queue.writeBuffer(this.page, this.used, bytes);
    this.used += ALIGN;
    this.slots.set(key, slice);
    return slice;
  }

  destroy(): void {
    for (const page of this.pages) this.allocator.destroy(page);
    this.pages.length = 0;
    this.slots.clear();
    this.page = null;
  }
}
