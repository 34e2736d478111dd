/**
 * The benchmark of this browser's GPU: its last result, and one that is under way.
 *
 * Usage:
 *   const { result, progress } = useBenchmark();
 *   useEffect(() => void useBenchmark.getState().load(), []);
 *   await useBenchmark.getState().run();      // rejects with a NagiError; resolves when it has ended or was stopped
 */
import { create } from "zustand";
import { backend } from "../clients/backend";
import { type ErrorData, toErrorData } from "../shared/errors";
import type { BenchmarkProgress, BenchmarkResult } from "../shared/protocol/benchmark";

export interface BenchmarkState {
  readonly loaded: boolean;
  readonly loadError: ErrorData | null;
  readonly result: BenchmarkResult | null;
  /** Null while nothing is measured. */
  readonly progress: BenchmarkProgress | null;
  /** Somebody asked to stop; it ends after the measurement under way. */
  readonly stopping: boolean;
  load(): Promise<void>;
  run(): Promise<void>;
  stop(): Promise<void>;
}

export const useBenchmark = create<BenchmarkState>()((set) => ({
  loaded: false,
  loadError: null,
  result: null,
  progress: null,
  stopping: false,
  async load() {
    try {
      set({ result: await backend().benchmark(), loaded: true, loadError: null });
    } catch (error) {
      set({ loaded: true, loadError: toErrorData(error) });
    }
  },
  async run() {
    set({ progress: { done: 0, total: 1 } });
    try {
      const result = await backend().runBenchmark((progress) => set({ progress }));
      if (result !== null) set({ result });
    } finally {
      set({ progress: null, stopping: false });
    }
  },
  async stop() {
    set({ stopping: true });
    await backend().stopBenchmark();
  },
}));
