/** Per-kernel GPU time by timestamp queries: one compute pass a dispatch, so use it to look, not to train. */

import { type Allocator, USAGE } from "./allocator";
import type { EngineDevice } from "./device";
import type { Dispatch } from "./dispatch";

export interface KernelTime {
  readonly label: string;
  readonly nanoseconds: number;
}

/** Two timestamps a dispatch; a query set holds at most 4,096. */
const PER_SET = 2048;

/** Runs the dispatches once, in order. Empty when the device lacks timestamp-query. */
export async function profileDispatches(
  device: EngineDevice,
  allocator: Allocator,
  dispatches: readonly Dispatch[],
): Promise<KernelTime[]> {
  if (!device.features.has("timestamp-query")) return [];
  const times: KernelTime[] = [];
  for (let start = 0; start < dispatches.length; start += PER_SET) {
    const part = dispatches.slice(start, start + PER_SET);
    const bytes = part.length * 16;
    const querySet = device.createQuerySet({ label: "profile", type: "timestamp", count: part.length * 2 });
    const resolved = allocator.create("profile resolve", bytes, USAGE.QUERY_RESOLVE | USAGE.COPY_SRC);
    const staging = allocator.create("profile staging", bytes, USAGE.MAP_READ | USAGE.COPY_DST);
    const encoder = device.createCommandEncoder();
    part.forEach((dispatch, index) => {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 },
      });
      pass.setPipeline(dispatch.pipeline);
      pass.setBindGroup(0, dispatch.bindGroup);
      pass.dispatchWorkgroups(...dispatch.workgroups);
      pass.end();
    });
    encoder.resolveQuerySet(querySet, 0, part.length * 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    const stamps = new BigUint64Array(staging.getMappedRange().slice(0));
    staging.unmap();
    part.forEach((dispatch, index) => {
      times.push({
        label: dispatch.label,
        nanoseconds: Number((stamps[2 * index + 1] ?? 0n) - (stamps[2 * index] ?? 0n)),
      });
    });
    querySet.destroy();
    allocator.destroy(resolved);
    allocator.destroy(staging);
  }
  return times;
}
