/** Our side of the whole-model measurements: a training step, a forward pass, generation. */

import type { PackedBatch } from "../data/batches";
import { packTexts } from "../data/batches";
import type { Gpu } from "../gpu/gpu";
import { Generator } from "../train/generator";
import { Trainer } from "../train/trainer";
import { ADAMW, LEARNING_RATE, type StepCase, type StepInput } from "./cases";
import type { Contender } from "./measure";

/** A model that trains on one batch again and again. */
export interface StepContender extends Contender {
  /** One training step and its loss, the mean over all predicted tokens. */
  step(): Promise<number>;
  dispose(): void;
}

/** Our trainer with all parameters trained, and how to run it. */
export interface OurModel extends StepContender {
  readonly trainer: Trainer;
  readonly batch: PackedBatch;
  /** The same batch forward only: the loss and nothing else. */
  readonly forward: Contender;
}

/** Steps follow each other without waiting, as training enqueues them. */
export async function ourModel(gpu: Gpu, bench: StepCase, { config, tensors, texts }: StepInput): Promise<OurModel> {
  const batch = packTexts(texts, { targets: true });
  const trainer = await Trainer.create(gpu, config, tensors, {
    task: "causal-lm",
    optimizer: ADAMW,
    max_tokens: batch.input_ids.length,
    max_texts: bench.texts,
  });
  const queue = (run: () => Promise<unknown>) => {
    let pending: Promise<unknown>[] = [];
    return {
      name: "ours",
      enqueue: () => void pending.push(run()),
      finished: async () => {
        await Promise.all(pending);
        pending = [];
      },
    };
  };
  return {
    ...queue(() => trainer.step([batch], LEARNING_RATE)),
    step: async () => (await trainer.step([batch], LEARNING_RATE)).loss,
    forward: queue(() => trainer.forward(batch)),
    trainer,
    batch,
    dispose: () => trainer.destroy(),
  };
}

/** Tokens of a prompt; the rest of a case's length is generated. */
const PROMPT = 16;

/**
 * Tokens per second, prompt pass and all waiting included: `count` texts of the model's own weights at temperature 1.
 * The median of `rounds` after one run that compiles.
 */
export async function generateBench(
  gpu: Gpu,
  bench: StepCase,
  { config, texts }: StepInput,
  trainer: Trainer,
  count: number,
  rounds: number,
): Promise<number[]> {
  const generator = await Generator.create(gpu, config, trainer.store, {
    max_texts: count,
    max_length: bench.length,
    adapter: false,
  });
  const prompts = Array.from({ length: count }, (_, index) =>
    Int32Array.from((texts[index % texts.length] ?? []).slice(0, PROMPT)),
  );
  const max_new_tokens = bench.length - PROMPT;
  const rates: number[] = [];
  try {
    for (let round = 0; round <= rounds; round++) {
      const start = performance.now();
      const options = { max_new_tokens, temperature: 1, top_k: 0, top_p: 1, seed: round, eos_token_id: null };
      const { ids } = await generator.generate(prompts, options);
      const tokens = ids.reduce((sum, text) => sum + text.length, 0);
      if (round > 0) rates.push((tokens * 1000) / (performance.now() - start));
    }
  } finally {
    generator.destroy();
  }
  return rates;
}
