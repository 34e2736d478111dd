/** What adapters promise: with B = 0 they are not there, only they move, and a resumed run repeats an uninterrupted one. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { type PackedBatch, packTexts } from "../data/batches";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import type { Tensors } from "../io/tensors";
import { isLora, type LoraOptions, loraShapes } from "../model/lora";
import { mergeLora } from "../model/merge";
import { parseNeoxConfig } from "../model/neox-config";
import { drawParameters, neoxParameterShapes } from "../model/shapes";
import { Trainer, type TrainerOptions } from "./trainer";

const config = parseNeoxConfig({
  model_type: "gpt_neox",
  vocab_size: 61,
  hidden_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 40,
  rotary_pct: 0.5,
  use_parallel_residual: false,
  pad_token_id: 1,
});
const optimizer = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, max_grad_norm: 1 } as const;
const lora: LoraOptions = {
  r: 3,
  lora_alpha: 12,
  lora_dropout: 0,
  target_modules: ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h", "embed_out"],
};
const language: TrainerOptions = {
  task: "causal-lm",
  optimizer,
  max_tokens: 120,
  max_texts: 8,
  lora,
  seed: 3,
  frozen_dtype: "f32",
};
const reward: TrainerOptions = {
  ...language,
  task: "reward",
  objective: "binary",
  lora: { ...lora, target_modules: ["query_key_value", "dense_4h_to_h"] },
};

let gpu: Gpu;
const trainers: Trainer[] = [];

beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => {
  for (const trainer of trainers) trainer.destroy();
  gpu.destroy();
});

/** Weights that f16 holds exactly, large enough that every part of the model matters. */
function weights(options: TrainerOptions): Map<string, Float32Array> {
  const head =
    options.task === "reward" ? ({ kind: "reward", num_labels: 1 } as const) : ({ kind: "causal-lm" } as const);
  const random = Random.seeded(7);
  const shapes = neoxParameterShapes(config, head);
  return drawParameters(shapes, 0.3, () => Math.round(random.normal() * 256) / 256 / 0.3 / 4);
}

async function trainer(
  options: TrainerOptions,
  extra: ReadonlyMap<string, Float32Array> = new Map(),
): Promise<Trainer> {
  const made = await Trainer.create(gpu, config, new Map([...weights(options), ...extra]), options);
  trainers.push(made);
  return made;
}

function batch(seed: number, count = 6): PackedBatch {
  const random = Random.seeded(seed);
  const texts = Array.from({ length: count }, (_, index) =>
    Array.from({ length: 2 + ((index * 5 + seed) % 12) }, () => 2 + random.below(59)),
  );
  return packTexts(texts, { labels: texts.map(() => random.below(2)), targets: true });
}

const bits = (tensor: Float32Array) => [...new Uint32Array(tensor.slice().buffer)];

describe("an adapter", () => {
  it("is not there as long as B is zero, nor where it is switched off", async () => {
    const { lora: _, ...full } = language;
    const plain = await trainer(full);
    const one = await trainer(language);
    const wanted = (await plain.forward(batch(1), { logits: true })).logits ?? new Float32Array();
    const before = (await one.forward(batch(1), { logits: true })).logits ?? new Float32Array();
    expect(wanted.length).toBe(61 * batch(1).input_ids.length);
    expect(bits(before)).toEqual(bits(wanted));
    for (let step = 0; step < 3; step++) await one.step([batch(1)], 1e-2);
    const on = await one.forward(batch(1), { logits: true });
    const off = await one.forward(batch(1), { logits: true, adapter: false });
    expect(bits(off.logits ?? new Float32Array())).toEqual(bits(wanted));
    const moved = (on.logits ?? new Float32Array()).filter((value, index) => value !== wanted[index]);
    expect(moved.length).toBeGreaterThan(0.9 * wanted.length);
    expect(on.loss).toBeLessThan(off.loss ?? Number.NaN);
  });

  it.each([
    ["language model", language],
    ["reward model", reward],
  ])("of a %s is all that moves, and all that has moments", async (_, options) => {
    const one = await trainer(options);
    const before = await one.store.read("weights");
    await one.step([batch(2), batch(3)], 1e-2);
    const after = await one.store.read("weights");
    const trained = (name: string) => isLora(name) || name === "score.weight";
    const moved = [...before].filter(([name, tensor]) => tensor.some((value, i) => value !== after.get(name)?.[i]));
    const names = [...before.keys()].filter(trained);
    expect(moved.map(([name]) => name).filter((name) => !trained(name))).toEqual([]);
    // With B = 0 the gradient of A is zero; decay moves it all the same.
    expect(moved.map(([name]) => name)).toEqual(names);
    expect([...(await one.gradients()).keys()]).toEqual(names);
    expect([...(await one.exportState()).exp_avg.keys()]).toEqual(names);
    // Memory: gradients and two moments of the adapters alone, padded to 256 bytes a tensor.
    const elements = names.reduce((sum, name) => sum + (before.get(name)?.length ?? 0), 0);
    const { bytes } = one.store;
    expect(bytes.gradients).toBeLessThanOrEqual(4 * elements + 256 * names.length);
    expect([bytes.exp_avg, bytes.exp_avg_sq]).toEqual([bytes.gradients, bytes.gradients]);
    expect(bytes.weights).toBeGreaterThan(5 * bytes.gradients);
  });

  it("stands on f16 weights: half the memory, the same numbers where f16 holds the weights", async () => {
    if (!gpu.capabilities.f16) {
      await expect(trainer({ ...language, frozen_dtype: "f16" })).rejects.toThrow("shader-f16");
      return;
    }
    const { frozen_dtype: _, ...preset } = language;
    const [wide, half] = [await trainer(language), await trainer(preset)];
    expect(half.store.element("gpt_neox.embed_in.weight")).toBe("f16");
    expect(half.store.element("gpt_neox.final_layer_norm.weight")).toBe("f32");
    expect(half.store.bytes.weights).toBeLessThan(0.75 * wide.store.bytes.weights);
    expect(half.store.bytes.gradients).toBe(wide.store.bytes.gradients);
    const a = await half.store.read("weights");
    for (const [name, tensor] of await wide.store.read("weights"))
      expect(bits(a.get(name) ?? new Float32Array())).toEqual(bits(tensor));
    for (let step = 0; step < 3; step++) {
      const [x, y] = [await wide.step([batch(4)], 1e-2), await half.step([batch(4)], 1e-2)];
      expect(Math.abs(x.loss - y.loss)).toBeLessThanOrEqual(1e-5 * x.loss);
      expect(Math.abs(x.grad_norm - y.grad_norm)).toBeLessThanOrEqual(1e-4 * x.grad_norm);
    }
    const large = weights(language);
    large.get("embed_out.weight")?.set([70_000]);
    await expect(Trainer.create(gpu, config, large, preset)).rejects.toMatchObject({
      code: "model.tensor_type",
      details: { tensor: "embed_out.weight" },
    });
  });

  it.each([
    ["language model", language],
    ["reward model", reward],
    ["language model with tied embeddings", { ...language, tied: true }],
  ])(
    "folded into a %s gives the unmerged numbers",
    async (_, { tied = false, ...options }: TrainerOptions & { tied?: boolean }) => {
      const neox = { ...config, tie_word_embeddings: tied };
      const base = weights(options);
      if (tied) base.delete("embed_out.weight");
      const create = async (model: typeof config, tensors: Tensors, of: TrainerOptions) => {
        const made = await Trainer.create(gpu, model, tensors, of);
        trainers.push(made);
        return made;
      };
      const one = await create(neox, base, options);
      for (let step = 0; step < 3; step++) await one.step([batch(1)], 2e-2);
      const merged = mergeLora(base, (await one.exportState()).weights, lora);
      expect(merged.untied).toBe(tied);
      const { lora: __, ...full } = options;
      const whole = await create({ ...neox, tie_word_embeddings: tied && !merged.untied }, merged.tensors, full);
      const logits = options.task === "causal-lm";
      const [a, b] = [await one.forward(batch(8), { logits }), await whole.forward(batch(8), { logits })];
      const [unmerged = [], folded = []] = logits ? [a.logits, b.logits] : [a.scores, b.scores];
      expect(folded.length).toBe(unmerged.length);
      const worst = Math.max(...[...unmerged].map((value, i) => Math.abs(value - (folded[i] ?? Number.NaN))));
      expect(worst).toBeLessThanOrEqual(2e-5);
      const off = await one.forward(batch(8), { logits, adapter: false });
      const changed = [...((logits ? off.logits : off.scores) ?? [])].some(
        (value, i) => Math.abs(value - (folded[i] ?? 0)) > 1e-2,
      );
      expect(changed).toBe(true);
    },
  );

  it("is drawn by the seed, unless it comes with the weights", async () => {
    const name = "base_model.model.gpt_neox.layers.1.attention.dense.lora_A.weight";
    const [one, same, other] = [
      await trainer(language),
      await trainer(language),
      await trainer({ ...language, seed: 4 }),
    ];
    const read = async (of: Trainer) => (await of.store.read("weights", "trained")).get(name) ?? new Float32Array();
    const drawn = await read(one);
    const bound = 1 / Math.sqrt(24);
    expect(drawn).toHaveLength(3 * 24);
    expect(drawn.every((value) => Math.abs(value) <= bound)).toBe(true);
    expect(Math.max(...drawn)).toBeGreaterThan(0.8 * bound);
    expect(Math.min(...drawn)).toBeLessThan(-0.8 * bound);
    expect(bits(await read(same))).toEqual(bits(drawn));
    expect(bits(await read(other))).not.toEqual(bits(drawn));
    const shapes = loraShapes(config, { kind: "causal-lm" }, lora);
    const given = new Map([...shapes].map(([key, [a = 0, b = 0]]) => [key, new Float32Array(a * b).fill(0.125)]));
    expect((await read(await trainer(language, given))).every((value) => value === 0.125)).toBe(true);
  });
});

describe("dropout", () => {
  const dropping: TrainerOptions = { ...language, lora: { ...lora, lora_dropout: 0.4 } };

  it("changes with the step and the micro-batch, and not in evaluation", async () => {
    const one = await trainer(dropping);
    for (let step = 0; step < 2; step++) await one.step([batch(5)], 1e-2);
    const evaluated = [(await one.forward(batch(5))).loss, (await one.forward(batch(5))).loss];
    expect(evaluated[0]).toBe(evaluated[1]);
    const first = await one.backward([batch(5)]);
    expect((await one.backward([batch(5)])).loss).toBe(first.loss);
    expect(first.loss).not.toBe(evaluated[0]);
    const [a, b] = [await one.backward([batch(5), batch(6)]), await one.backward([batch(6), batch(5)])];
    expect(a.loss).not.toBe(b.loss);
    await one.step([batch(5)], 0);
    expect((await one.backward([batch(5)])).loss).not.toBe(first.loss);
  });

  it("is repeated by a resumed run, bit by bit", async () => {
    const batches = [1, 2, 3, 4].map((seed) => [batch(seed), batch(seed + 10, 3)]);
    const straight = await trainer(dropping);
    const losses: number[] = [];
    for (const one of batches) losses.push((await straight.step(one, 5e-3)).loss);
    const early = await trainer(dropping);
    for (const one of batches.slice(0, 2)) await early.step(one, 5e-3);
    const state = await early.exportState();
    expect([...state.weights.keys()].every(isLora)).toBe(true);
    const late = await trainer(dropping);
    await late.importState(state);
    const resumed: number[] = [];
    for (const one of batches.slice(2)) resumed.push((await late.step(one, 5e-3)).loss);
    expect(resumed).toEqual(losses.slice(2));
    const [a, b] = [await straight.exportState(), await late.exportState()];
    for (const [name, tensor] of a.weights)
      expect(bits(b.weights.get(name) ?? new Float32Array())).toEqual(bits(tensor));
  });
});

describe("refusals", () => {
  it("says where nothing would be trained, and which target does not exist", async () => {
    await expect(trainer({ ...language, trainable: () => false })).rejects.toMatchObject({
      code: "config.invalid",
      details: { path: "peft" },
    });
    await expect(trainer({ ...reward, lora })).rejects.toMatchObject({
      code: "config.invalid",
      details: { path: "peft.target_modules", problem: expect.stringContaining("embed_out") },
    });
  });

  it("a frozen trainer scores without gradients and does not step", async () => {
    const one = await trainer({ ...reward, frozen: true });
    expect(one.store.bytes).toMatchObject({ gradients: 0, exp_avg: 0, exp_avg_sq: 0 });
    const { scores } = await one.forward(batch(7));
    expect(scores).toHaveLength(6);
    expect(scores?.every(Number.isFinite)).toBe(true);
    await expect(one.step([batch(7)], 1e-3)).rejects.toThrow(/frozen/);
  });
});
