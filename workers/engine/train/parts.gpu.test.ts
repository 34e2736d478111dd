/**
 * Matrices with one row a vocabulary entry that are larger than a binding: stored in parts they must be what they are in
 * one piece, in everything that reads or trains them.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { type PackedBatch, packTexts } from "../data/batches";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { drawLora, type LoraOptions, loraShapes } from "../model/lora";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { drawParameters, neoxParameterShapes } from "../model/shapes";
import { Generator } from "./generator";
import { Trainer, type TrainerOptions } from "./trainer";

const config = parseNeoxConfig({
  model_type: "gpt_neox",
  vocab_size: 1301,
  hidden_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 68,
  rotary_pct: 0.5,
  use_parallel_residual: false,
  tie_word_embeddings: false,
  pad_token_id: 1,
});
const tied = { ...config, tie_word_embeddings: true };
const HEAD = { kind: "causal-lm" } as const;
/** Bytes: the embedding takes four parts, three of 384 rows and one of 149. */
const SMALL = 98_304;

/** eps so large that rounding where a gradient is nought (the bias of the keys) is not blown up to whole steps. */
const optimizer = { betas: [0.9, 0.999], eps: 1e-3, weight_decay: 0.1, max_grad_norm: 1 } as const;
const language: TrainerOptions = { task: "causal-lm", optimizer, max_tokens: 60, max_texts: 4 };
/** Frozen in f32: halves would make parts whose logits are too large for SMALL. */
const frozen_dtype = "f32";
const lora: LoraOptions = {
  r: 4,
  lora_alpha: 8,
  lora_dropout: 0,
  target_modules: ["embed_out", "query_key_value"],
};

let whole: Gpu;
let small: Gpu;
beforeAll(async () => {
  whole = await openDawn();
  small = await openDawn(undefined, { largestBinding: SMALL });
});
afterAll(() => {
  whole.destroy();
  small.destroy();
});

/** Weights large enough that every part of the model matters, the adapters' B included. */
function weights(model: NeoxConfig): Map<string, Float32Array> {
  const random = Random.seeded(3);
  const normal = () => random.normal();
  const adapters = drawLora(loraShapes(model, HEAD, lora), () => random.uniform());
  for (const [name, tensor] of adapters) if (name.includes("lora_B")) tensor.set(tensor.map(() => 0.2 * normal()));
  return new Map([...drawParameters(neoxParameterShapes(model, HEAD), 0.2, normal), ...adapters]);
}

/** Tokens of every part, the last of the vocabulary among them, some of them often. */
function batch(seed: number): PackedBatch {
  const random = Random.seeded(seed);
  const ids = () => Array.from({ length: 14 }, (_, i) => (i === 0 ? 1300 : i % 4 === 0 ? 7 : random.below(1301)));
  return packTexts([ids(), ids(), ids(), ids()], { targets: true });
}

function expectNear(ours: Float32Array | undefined, expected: Float32Array | undefined, what: string): void {
  expect(ours?.length, what).toBe(expected?.length);
  let difference = 0;
  let norm = 0;
  for (const [index, value] of (expected ?? []).entries()) {
    difference += ((ours?.[index] ?? Number.NaN) - value) ** 2;
    norm += value ** 2;
  }
  const relative = Math.sqrt(difference / norm);
  if (!(relative <= 2e-5)) throw new Error(`${what}: ${relative} apart`);
}

function expectAllNear(ours: ReadonlyMap<string, Float32Array>, expected: ReadonlyMap<string, Float32Array>): void {
  expect([...ours.keys()]).toEqual([...expected.keys()]);
  for (const [name, tensor] of expected) expectNear(ours.get(name), tensor, name);
}

/** Loss and gradients of two batches, then three steps and what they left. */
async function observe(gpu: Gpu, model: NeoxConfig, options: TrainerOptions) {
  const trainer = await Trainer.create(gpu, model, weights(model), options);
  try {
    const first = await trainer.backward([batch(1), batch(2)]);
    const gradients = await trainer.gradients();
    const losses = [first.loss];
    for (let step = 0; step < 3; step++) losses.push((await trainer.step([batch(step)], 1e-3)).loss);
    const state = await trainer.exportState();
    return {
      losses,
      grad_norm: first.grad_norm,
      gradients,
      state,
      parts: trainer.store.parts("gpt_neox.embed_in.weight"),
    };
  } finally {
    trainer.destroy();
  }
}

describe("a vocabulary in parts", () => {
  it.each<[string, NeoxConfig, TrainerOptions]>([
    ["all parameters", config, language],
    ["tied embeddings", tied, language],
    ["LoRA on the output matrix", config, { ...language, lora, frozen_dtype }],
  ])("trains as in one piece: %s", async (_, model, options) => {
    const expected = await observe(whole, model, options);
    const ours = await observe(small, model, options);
    expect([expected.parts, ours.parts]).toEqual([1, 4]);
    expectNear(Float32Array.from(ours.losses), Float32Array.from(expected.losses), "losses");
    expectNear(Float32Array.of(ours.grad_norm), Float32Array.of(expected.grad_norm), "grad_norm");
    expectAllNear(ours.gradients, expected.gradients);
    for (const kind of ["weights", "exp_avg", "exp_avg_sq"] as const)
      expectAllNear(ours.state[kind], expected.state[kind]);
  });

  it("goes into a checkpoint and comes out of it in one piece, bit for bit", async () => {
    const one = await Trainer.create(whole, config, weights(config), language);
    const other = await Trainer.create(small, config, weights(config), language);
    await one.step([batch(1)], 1e-3);
    const state = await one.exportState();
    await other.importState(state);
    const copy = await other.exportState();
    for (const kind of ["weights", "exp_avg", "exp_avg_sq"] as const) {
      expect([...copy[kind].keys()]).toEqual([...state[kind].keys()]);
      for (const [name, tensor] of state[kind]) {
        const ours = copy[kind].get(name);
        expect(ours?.length === tensor.length && ours.every((value, i) => Object.is(value, tensor[i])), name).toBe(
          true,
        );
      }
    }
    one.destroy();
    other.destroy();
  });

  it("writes the same texts", async () => {
    const write = async (gpu: Gpu, adapter: boolean) => {
      const options = { ...language, ...(adapter ? { lora } : {}), frozen: true, frozen_dtype } as const;
      const trainer = await Trainer.create(gpu, config, weights(config), options);
      const generator = await Generator.create(gpu, config, trainer.store, { max_texts: 4, max_length: 24, adapter });
      const settings = { max_new_tokens: 12, temperature: 1, top_k: 0, top_p: 0.9, seed: 5, eos_token_id: null };
      const made = await generator.generate([Int32Array.of(5, 1300, 700), Int32Array.of(9)], settings);
      generator.destroy();
      trainer.destroy();
      return made;
    };
    for (const adapter of [false, true]) {
      const expected = await write(whole, adapter);
      const ours = await write(small, adapter);
      expect(ours.ids).toEqual(expected.ids);
      for (const [text, values] of ours.logprobs.entries())
        expectNear(values, expected.logprobs[text], `log-probabilities ${text}`);
    }
  });

  it("gives the same log-probabilities and their gradient", async () => {
    const options: TrainerOptions = { ...language, task: "dpo", dpo: { beta: 0.1, label_smoothing: 0 } };
    const pairs = { ...batch(4), last_index: Int32Array.of(13, 27, 41, 55), reference_logps: new Float32Array(4) };
    const read = async (gpu: Gpu) => {
      const trainer = await Trainer.create(gpu, config, weights(config), options);
      const { logps } = await trainer.forward(pairs);
      await trainer.backward([pairs]);
      const gradients = await trainer.gradients();
      trainer.destroy();
      return { logps, gradients };
    };
    const expected = await read(whole);
    const ours = await read(small);
    expectNear(ours.logps, expected.logps, "logps");
    expectAllNear(ours.gradients, expected.gradients);
  });
});
