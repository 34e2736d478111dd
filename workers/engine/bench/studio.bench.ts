/** The benchmark of the settings' page: matrix products and a training step on the user's own GPU. */

import type { BenchmarkProgress, BenchmarkResult, BenchmarkShape } from "../../../src/shared/protocol/benchmark";
import type { Gpu } from "../gpu/gpu";
import { H128, H256, type StepCase, stepInput } from "./cases";
import { trainStepFlops } from "./flops";
import { gflops, MATMUL_CASES, type MatmulCase, matmulInput, ourMatmuls } from "./matmul.bench";
import { interleave } from "./measure";
import { ourModel } from "./step.bench";

export interface StudioBenchOptions {
  readonly onProgress: (progress: BenchmarkProgress) => void;
  /** Its reason is thrown once it is aborted, between two measurements. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Measurements each. Default 5. */
  readonly rounds?: number;
}

/** What is measured where: a software adapter takes the smaller model, a GPU would be idle with it. */
export function studioCases(cpu: boolean): { readonly products: readonly MatmulCase[]; readonly step: StepCase } {
  const products = MATMUL_CASES.filter(({ name }) => name === "h256 MLP" || (!cpu && name === "open-calm-small MLP"));
  return { products, step: cpu ? H128 : H256 };
}

/** Rejects with gpu.* or with the signal's reason. */
export async function studioBench(gpu: Gpu, options: StudioBenchOptions): Promise<BenchmarkResult> {
  const { signal, rounds = 5, onProgress } = options;
  const { products, step } = studioCases(gpu.capabilities.cpu);
  const total = (products.length + 1) * rounds;
  let before = 0;
  const onRound = (round: number) => {
    signal.throwIfAborted();
    onProgress({ done: before + Math.max(0, round - 1), total });
  };
  const measuring = { rounds, sleep: false, onRound };

  const shapes: BenchmarkShape[] = [];
  for (const problem of products) {
    const { variant: chosen, candidates, dispose } = await ourMatmuls(gpu, problem, matmulInput(problem));
    try {
      const times = await interleave(candidates, { ...measuring, span: 100, most: 256 });
      const rates = candidates.map(({ name }, index) => ({ name, rate: gflops(problem, times[index] ?? Number.NaN) }));
      const best = rates.reduce((a, b) => (b.rate > a.rate ? b : a));
      const taken = rates.find(({ name }) => name === chosen) ?? best;
      const { name, layout, M, N, K } = problem;
      const sizes = { name, layout, M, N, K };
      shapes.push({ ...sizes, variant: best.name, gflops: best.rate, chosen: taken.name, chosenGflops: taken.rate });
    } finally {
      dispose();
    }
    before += rounds;
  }

  signal.throwIfAborted();
  const input = stepInput(step);
  const model = await ourModel(gpu, step, input);
  try {
    const [stepMs = Number.NaN] = await interleave([model], { ...measuring, span: 300 });
    const stepFlops = trainStepFlops(input.config, step.texts, step.length);
    const matmulPeakGflops = Math.max(...shapes.map((shape) => shape.gflops));
    const { hidden_size, num_hidden_layers, vocab_size, texts, length } = step;
    onProgress({ done: total, total });
    return {
      adapter: gpu.adapterName,
      measuredAt: options.now(),
      runs: rounds,
      shapes,
      matmulPeakGflops,
      step: { hidden_size, num_hidden_layers, vocab_size, texts, length },
      stepMs,
      stepFlops,
      dispatchFlops: model.trainer.stepDispatches.reduce((sum, { flops }) => sum + flops, 0),
      tokensPerSecond: (texts * length * 1000) / stepMs,
      shareOfPeak: stepFlops / stepMs / 1e6 / matmulPeakGflops,
    };
  } finally {
    model.dispose();
  }
}
