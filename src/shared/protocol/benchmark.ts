/** What the benchmark of the settings measured on this browser's GPU; the preflight reckons times from it. */
import { z } from "zod";

const positive = z.number().positive();
const count = z.number().int().positive();

export const benchmarkShape = z.strictObject({
  /** Which model and layer: "h256 MLP". */
  name: z.string(),
  layout: z.enum(["NN", "NT", "TN"]),
  M: count,
  N: count,
  K: count,
  /** The fastest kernel for these sizes on this adapter, and how fast it was (median). */
  variant: z.string(),
  gflops: positive,
  /** The kernel that training takes. */
  chosen: z.string(),
  chosenGflops: positive,
});
export type BenchmarkShape = z.infer<typeof benchmarkShape>;

export const benchmarkResult = z.strictObject({
  adapter: z.string(),
  /** Milliseconds since 1970, at the end. */
  measuredAt: count,
  /** Measurements behind every median. */
  runs: count,
  shapes: z.array(benchmarkShape).min(1),
  /** The best of the shapes. */
  matmulPeakGflops: positive,
  /** The model that took training steps. */
  step: z.strictObject({
    hidden_size: count,
    num_hidden_layers: count,
    vocab_size: count,
    texts: count,
    /** Tokens a text. */
    length: count,
  }),
  /** Median of a training step (forward, backward, AdamW). */
  stepMs: positive,
  /** Work the model needs for it; what is computed a second time does not count. */
  stepFlops: positive,
  /** Work of the step's dispatches, as the preflight sums it up. */
  dispatchFlops: positive,
  tokensPerSecond: positive,
  /** stepFlops / stepMs as a share of matmulPeakGflops. */
  shareOfPeak: positive,
});
export type BenchmarkResult = z.infer<typeof benchmarkResult>;

export interface BenchmarkProgress {
  /** Measurements done, of `total`. */
  readonly done: number;
  readonly total: number;
}

export interface BenchmarkBackend {
  /** The last result on this browser; null where there is none. */
  benchmark(): Promise<BenchmarkResult | null>;
  /**
   * Measures on the GPU and keeps the result. Resolves with null when it was stopped. Errors: gpu.*; storage.busy {what,
   * name} while a run uses the GPU: both would be slow, and the figures wrong.
   */
  runBenchmark(onProgress: (progress: BenchmarkProgress) => void): Promise<BenchmarkResult | null>;
  stopBenchmark(): Promise<void>;
}
