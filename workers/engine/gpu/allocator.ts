/** The only place that creates GPU buffers: checks limits first, counts, and labels. */

import { NagiError } from "../../../src/shared/errors";
import type { Counters } from "./counters";
import type { EngineDevice } from "./device";

/** A range of a buffer. Bytes; the offset is a multiple of 256, so that any slice can be bound. */
export interface BufferSlice {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** GPUBufferUsage as numbers (fixed by the specification): the global does not exist in Node. */
export const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128, QUERY_RESOLVE: 512 } as const;

const mebibytes = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MiB`;

export class Allocator {
  constructor(
    private readonly device: Pick<EngineDevice, "limits" | "createBuffer" | "pushErrorScope" | "popErrorScope">,
    private readonly counters: Counters,
    private readonly onError: (error: NagiError) => void,
  ) {}

  /**
   * A new buffer of `bytes` (rounded up to 4), zeroed by WebGPU.
   * @throws NagiError gpu.limit {what, needed, granted} (bytes) when the device may not create it. Running out of
   * memory is reported late, through `onError` as gpu.out_of_memory {what, needed}.
   */
  create(label: string, bytes: number, usage: number): GPUBuffer {
    const size = Math.max(4, Math.ceil(bytes / 4) * 4);
    const granted = this.device.limits.maxBufferSize;
    if (!(size <= granted))
      throw new NagiError(
        "gpu.limit",
        `buffer "${label}" needs ${mebibytes(size)}, the adapter allows ${mebibytes(granted)} a buffer (maxBufferSize): ` +
          "use a smaller model, a smaller batch or another adapter",
        { what: label, needed: size, granted },
      );
    this.device.pushErrorScope("out-of-memory");
    const buffer = this.device.createBuffer({ label, size, usage });
    void this.device.popErrorScope().then(
      (error) => {
        if (error !== null)
          this.onError(
            new NagiError(
              "gpu.out_of_memory",
              `no GPU memory for "${label}" (${mebibytes(size)}): reduce the batch or the model`,
              {
                what: label,
                needed: size,
              },
            ),
          );
      },
      // A lost device rejects the scope; the loss itself is reported by Gpu.lost.
      () => undefined,
    );
    this.counters.buffers += 1;
    this.counters.bytes += size;
    return buffer;
  }

  destroy(buffer: GPUBuffer): void {
    this.counters.bytes -= buffer.size;
    buffer.destroy();
  }
}
