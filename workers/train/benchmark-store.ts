/** The last result of the benchmark on this browser, in IndexedDB. */
import { get, set } from "idb-keyval";
import { type BenchmarkResult, benchmarkResult } from "../../src/shared/protocol/benchmark";

const KEY = "nagi/benchmark";

/** Null where nothing was measured yet, or by a Nagi that kept other figures. */
export async function readBenchmark(): Promise<BenchmarkResult | null> {
  const { success, data } = benchmarkResult.safeParse(await get(KEY));
  return success ? data : null;
}

export async function keepBenchmark(result: BenchmarkResult): Promise<void> {
  await set(KEY, result);
}
