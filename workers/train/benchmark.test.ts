import { describe, expect, it } from "vitest";
import type { BenchmarkProgress, BenchmarkResult } from "../../src/shared/protocol/benchmark";
import { Benchmark, type BenchmarkTools } from "./benchmark";
import type { Locks } from "./locks";
import { GPU_LOCK } from "./session";

const RESULT: BenchmarkResult = {
  adapter: "test",
  measuredAt: 1,
  runs: 5,
  shapes: [{ name: "h256 MLP", layout: "NT", M: 8, N: 8, K: 8, variant: "a", gflops: 2, chosen: "a", chosenGflops: 2 }],
  matmulPeakGflops: 2,
  step: { hidden_size: 8, num_hidden_layers: 1, vocab_size: 8, texts: 1, length: 8 },
  stepMs: 1,
  stepFlops: 1e6,
  dispatchFlops: 1e6,
  tokensPerSecond: 8000,
  shareOfPeak: 0.5,
};

class OneLock implements Locks {
  readonly held = new Set<string>();

  async tryHold(name: string) {
    if (this.held.has(name)) return null;
    this.held.add(name);
    return () => void this.held.delete(name);
  }

  hold(): Promise<never> {
    return Promise.reject(new Error("a benchmark does not wait for the GPU"));
  }
}

function desk(measure: BenchmarkTools["measure"]) {
  const locks = new OneLock();
  let kept: BenchmarkResult | null = null;
  const benchmark = new Benchmark({
    locks,
    measure,
    read: async () => kept,
    keep: async (result) => {
      kept = result;
    },
    now: () => 1,
  });
  return { locks, benchmark };
}

const silent = (_: BenchmarkProgress) => undefined;

describe("the benchmark of the settings", () => {
  it("has the GPU to itself, keeps its result and gives the GPU back", async () => {
    const { locks, benchmark } = desk(async ({ onProgress }) => {
      expect(locks.held.has(GPU_LOCK)).toBe(true);
      onProgress({ done: 1, total: 1 });
      return RESULT;
    });
    const told: BenchmarkProgress[] = [];
    expect(await benchmark.result()).toBeNull();
    expect(await benchmark.run((progress) => told.push(progress))).toEqual(RESULT);
    expect(told).toEqual([{ done: 1, total: 1 }]);
    expect(await benchmark.result()).toEqual(RESULT);
    expect(locks.held.size).toBe(0);
  });

  it("is refused while a run has the GPU", async () => {
    const { locks, benchmark } = desk(async () => RESULT);
    locks.held.add(GPU_LOCK);
    await expect(benchmark.run(silent)).rejects.toMatchObject({ code: "storage.busy" });
    expect(await benchmark.result()).toBeNull();
  });

  it("ends with nothing when it is stopped", async () => {
    const { locks, benchmark } = desk(async ({ signal }) => {
      benchmark.stop();
      signal.throwIfAborted();
      return RESULT;
    });
    expect(await benchmark.run(silent)).toBeNull();
    expect(await benchmark.result()).toBeNull();
    expect(locks.held.size).toBe(0);
  });

  it("passes on what went wrong", async () => {
    const { locks, benchmark } = desk(() => Promise.reject(new Error("lost")));
    await expect(benchmark.run(silent)).rejects.toThrow("lost");
    expect(locks.held.size).toBe(0);
  });
});
