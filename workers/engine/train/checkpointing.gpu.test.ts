/** gradient_checkpointing: layers that are computed again in the backward pass. The same bits in less memory. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { type PackedBatch, packTexts } from "../data/batches";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import type { LoraOptions } from "../model/lora";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { drawParameters, neoxParameterShapes } from "../model/shapes";
import { Trainer, type TrainerOptions } from "./trainer";

const config = parseNeoxConfig({
  model_type: "gpt_neox",
  vocab_size: 61,
  hidden_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 3,
  intermediate_size: 40,
  rotary_pct: 0.5,
  use_parallel_residual: false,
  pad_token_id: 1,
});
const parallel = { ...config, use_parallel_residual: true };
const lora: LoraOptions = {
  r: 3,
  lora_alpha: 6,
  lora_dropout: 0.2,
  target_modules: ["query_key_value", "dense", "dense_4h_to_h"],
};
const optimizer = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.1, max_grad_norm: 1 } as const;
const sizes = { optimizer, max_tokens: 120, max_texts: 8 };

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

function batch(seed: number): PackedBatch {
  const random = Random.seeded(seed);
  const texts = Array.from({ length: 8 }, (_, index) => Array.from({ length: 3 + index }, () => 2 + random.below(59)));
  return packTexts(texts, { targets: true, labels: texts.map((_, index) => index % 2) });
}

/** Everything a run leaves: two steps of two micro-batches, whose gradients add up. */
async function run(model: NeoxConfig, options: TrainerOptions) {
  const random = Random.seeded(9);
  const head =
    options.task === "reward" ? ({ kind: "reward", num_labels: 1 } as const) : ({ kind: "causal-lm" } as const);
  const weights = drawParameters(neoxParameterShapes(model, head), 0.3, () => random.normal());
  const trainer = await Trainer.create(gpu, model, weights, { ...options, seed: 4 });
  const results = [];
  for (let step = 0; step < 2; step++) results.push(await trainer.step([batch(2 * step), batch(2 * step + 1)], 1e-2));
  const left = { results, gradients: await trainer.gradients(), state: await trainer.exportState() };
  const { activations = 0 } = trainer.memory.perBuffer;
  trainer.destroy();
  return { left, activations };
}

it.each<[string, NeoxConfig, TrainerOptions]>([
  ["a language model", config, { ...sizes, task: "causal-lm" }],
  [
    "adapters with dropout on a reward model with parallel residuals",
    parallel,
    { ...sizes, task: "reward", objective: "binary", lora },
  ],
])("leaves the same bits in less memory: %s", async (_, model, options) => {
  const kept = await run(model, options);
  const again = await run(model, { ...options, gradient_checkpointing: true });
  expect(again.left).toEqual(kept.left);
  expect(again.activations).toBeLessThan(0.7 * kept.activations);
});
