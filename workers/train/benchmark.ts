/** The benchmark of the settings: alone on the GPU, one at a time, stopped between two measurements. */
import { NagiError } from "../../src/shared/errors";
import type { BenchmarkProgress, BenchmarkResult } from "../../src/shared/protocol/benchmark";
import type { StudioBenchOptions } from "../engine/bench/studio.bench";
import { type Locks, tryPatiently } from "./locks";
import { GPU_LOCK } from "./session";

export interface BenchmarkTools {
  readonly locks: Locks;
  /** Measures on a GPU of its own. Rejects with gpu.*, or the signal's reason. */
  readonly measure: (options: StudioBenchOptions) => Promise<BenchmarkResult>;
  readonly read: () => Promise<BenchmarkResult | null>;
  readonly keep: (result: BenchmarkResult) => Promise<void>;
  readonly now: () => number;
}

export class Benchmark {
  #stop: AbortController | null = null;

  constructor(private readonly tools: BenchmarkTools) {}

  result(): Promise<BenchmarkResult | null> {
    return this.tools.read();
  }

  /** @see BenchmarkBackend.runBenchmark */
  async run(onProgress: (progress: BenchmarkProgress) => void): Promise<BenchmarkResult | null> {
    const { locks, measure, keep, now } = this.tools;
    const release = await tryPatiently(locks, GPU_LOCK);
    if (release === null)
      throw new NagiError(
        "storage.busy",
        "The GPU is in use, by a run or by a benchmark in another tab. Pause it or wait for its end, then measure.",
        { what: "gpu", name: "GPU" },
      );
    const stop = new AbortController();
    this.#stop = stop;
    try {
      const result = await measure({ onProgress, signal: stop.signal, now });
      await keep(result);
      return result;
    } catch (error) {
      if (stop.signal.aborted && error === stop.signal.reason) return null;
      throw error;
    } finally {
      this.#stop = null;
      release();
    }
  }

  stop(): void {
    this.#stop?.abort();
  }
}
