/** Whole training steps (forward, backward, clipping, AdamW) at the sizes the peers were measured at. Run by `nagi bench`. */

import { Random } from "../../../src/shared/stats/random";
import { packTexts } from "../data/batches";
import { median } from "../gpu/autotune";
import type { Gpu } from "../gpu/gpu";
import { parseNeoxConfig } from "../model/neox-config";
import { drawParameters, neoxParameterShapes } from "../model/shapes";
import { Trainer } from "../train/trainer";

export interface StepBenchCase {
  readonly name: string;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly vocab_size: number;
  readonly texts: number;
  /** Tokens a text. */
  readonly length: number;
}

export interface StepBenchRow extends StepBenchCase {
  /** Median of one step. */
  readonly milliseconds: number;
  readonly tokensPerSecond: number;
  readonly dispatches: number;
  readonly submits: number;
  /** All GPU memory of the trainer. */
  readonly megabytes: number;
}

export const STEP_CASES: readonly StepBenchCase[] = [
  {
    name: "small",
    hidden_size: 128,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    vocab_size: 4096,
    texts: 8,
    length: 64,
  },
  {
    name: "medium",
    hidden_size: 256,
    num_hidden_layers: 6,
    num_attention_heads: 4,
    vocab_size: 8192,
    texts: 8,
    length: 128,
  },
];

/** config.json of a case, for us and for PyTorch alike. */
export function stepConfig(bench: StepBenchCase): Record<string, unknown> {
  const { hidden_size, num_hidden_layers, num_attention_heads, vocab_size, length } = bench;
  return {
    architectures: ["GPTNeoXForCausalLM"],
    model_type: "gpt_neox",
    hidden_size,
    num_hidden_layers,
    num_attention_heads,
    vocab_size,
    intermediate_size: 4 * hidden_size,
    hidden_act: "gelu",
    layer_norm_eps: 1e-5,
    max_position_embeddings: length,
    rotary_pct: 1,
    rotary_emb_base: 10_000,
    use_parallel_residual: false,
    attention_bias: true,
    tie_word_embeddings: false,
    initializer_range: 0.02,
  };
}

/**
 * Language-model steps on random tokens, one after another without waiting, as training enqueues them.
 * @param steps steps a measurement; three are taken, the median counts.
 */
export async function stepBench(gpu: Gpu, bench: StepBenchCase, steps = 5): Promise<StepBenchRow> {
  const config = parseNeoxConfig(stepConfig(bench), bench.name);
  const random = Random.seeded(0);
  const tensors = drawParameters(neoxParameterShapes(config, { kind: "causal-lm" }), 0.02, () => random.normal());
  const texts = Array.from({ length: bench.texts }, () =>
    Array.from({ length: bench.length }, () => random.below(bench.vocab_size)),
  );
  const batch = packTexts(texts, { targets: true });
  const trainer = await Trainer.create(gpu, config, tensors, {
    task: "causal-lm",
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, max_grad_norm: 1 },
    max_tokens: batch.input_ids.length,
    max_texts: bench.texts,
  });
  try {
    const run = async (count: number) => {
      const start = performance.now();
      await Promise.all(Array.from({ length: count }, () => trainer.step([batch], 1e-4)));
      return (performance.now() - start) / count;
    };
    await run(2);
    const before = gpu.snapshot();
    await run(1);
    const after = gpu.snapshot();
    const milliseconds = median([await run(steps), await run(steps), await run(steps)]);
    return {
      ...bench,
      milliseconds,
      tokensPerSecond: (bench.texts * bench.length * 1000) / milliseconds,
      dispatches: after.dispatches - before.dispatches,
      submits: after.submits - before.submits,
      megabytes: trainer.memory.bytes / 1e6,
    };
  } finally {
    trainer.destroy();
  }
}
