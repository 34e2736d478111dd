/**
 * Times dispatches against each other. Used by tuners and benchmarks, never by tests or by a run that must be
 * repeatable: what is fastest may change from one measurement to the next.
 */

import type { Dispatch, Gpu } from "./gpu";

export interface TimingOptions {
  /** How often each dispatch is timed; the median counts. Default 7. */
  readonly rounds?: number;
  /** Dispatches in a row where there are no timestamps and the clock has to do. Default 8. */
  readonly batch?: number;
}

/** The middle value (the lower one of two). @throws RangeError for an empty list. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  if (middle === undefined) throw new RangeError("the median of no values");
  return middle;
}

/**
 * Median milliseconds of each dispatch, after one run that warms it up. The dispatches take turns, so that a neighbour on
 * the machine hurts all alike. By timestamp queries where the adapter has them, else by the clock over `batch` runs.
 * Rejects with what the device reports.
 */
export async function timeDispatches(
  gpu: Gpu,
  dispatches: readonly Dispatch[],
  { rounds = 7, batch = 8 }: TimingOptions = {},
): Promise<number[]> {
  const times: number[][] = dispatches.map(() => []);
  const probe = gpu.createBuffer("timing", 256);
  const finished = async () => {
    await gpu.read(probe);
  };
  try {
    gpu.submit(dispatches);
    await finished();
    for (let round = 0; round < rounds; round++) {
      const stamps = await gpu.profile(dispatches);
      for (const [index, dispatch] of dispatches.entries()) {
        const stamp = stamps[index];
        if (stamp !== undefined) {
          times[index]?.push(stamp.nanoseconds / 1e6);
          continue;
        }
        const start = performance.now();
        gpu.submit(Array.from({ length: batch }, () => dispatch));
        await finished();
        times[index]?.push((performance.now() - start) / batch);
      }
    }
  } finally {
    gpu.freeBuffer(probe);
  }
  return times.map(median);
}
