/** What a step costs, and the equivalences every trainer must have. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { IGNORED, type PackedBatch, packTexts } from "../data/batches";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
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
const optimizer = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.1, max_grad_norm: 1 } as const;
const reward: TrainerOptions = { task: "reward", objective: "binary", optimizer, max_tokens: 120, max_texts: 8 };
const language: TrainerOptions = { task: "causal-lm", optimizer, max_tokens: 120, max_texts: 8 };

let gpu: Gpu;
const trainers: Trainer[] = [];

beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => {
  for (const trainer of trainers) trainer.destroy();
  gpu.destroy();
});

/** Weights large enough that every part of the model matters. */
function weights(options: TrainerOptions): Map<string, Float32Array> {
  const num_labels = options.objective === "cross-entropy" ? 2 : 1;
  const head = options.task === "reward" ? ({ kind: "reward", num_labels } as const) : ({ kind: "causal-lm" } as const);
  const random = Random.seeded(7);
  return drawParameters(neoxParameterShapes(config, head), 0.3, () => random.normal());
}

async function trainer(options: TrainerOptions): Promise<Trainer> {
  const made = await Trainer.create(gpu, config, weights(options), options);
  trainers.push(made);
  return made;
}

interface Text {
  readonly ids: readonly number[];
  readonly label: number;
}

function texts(count: number, seed: number): Text[] {
  const random = Random.seeded(seed);
  return Array.from({ length: count }, (_, index) => ({
    ids: Array.from({ length: 1 + ((index * 5 + seed) % 14) }, () => 2 + Math.floor(random.uniform() * 59)),
    label: random.uniform() < 0.5 ? 1 : 0,
  }));
}

function pack(list: readonly Text[]): PackedBatch {
  return packTexts(
    list.map(({ ids }) => ids),
    { labels: list.map(({ label }) => label), targets: true },
  );
}

/** Relative L2 distance of two sets of tensors; NaN if anything is missing or not finite. */
function distance(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  let worst = a.size === b.size && a.size > 0 ? 0 : Number.NaN;
  for (const [name, expected] of a) {
    const ours = b.get(name);
    let difference = 0;
    let norm = 0;
    for (const [index, value] of expected.entries()) {
      difference += ((ours?.[index] ?? Number.NaN) - value) ** 2;
      norm += value ** 2;
    }
    const relative = difference === 0 ? 0 : Math.sqrt(difference / norm);
    if (!(relative <= worst)) worst = relative;
  }
  return worst;
}

function expectSameBits(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): void {
  expect([...b.keys()]).toEqual([...a.keys()]);
  for (const [name, tensor] of a) {
    const bits = (array: Float32Array | undefined) => new Uint32Array((array ?? new Float32Array()).slice().buffer);
    const [x, y] = [bits(tensor), bits(b.get(name))];
    expect(y.length, name).toBe(x.length);
    expect(
      x.findIndex((value, index) => value !== y[index]),
      name,
    ).toBe(-1);
  }
}

describe("a warm step", () => {
  it.each([
    ["reward", reward],
    ["causal-lm", language],
  ])("of %s creates nothing and waits for nothing", async (_, options) => {
    const one = await trainer(options);
    const first = pack(texts(8, 1));
    const second = pack(texts(8, 2));
    // Two rounds: the staging buffers of two steps in flight exist afterwards.
    for (let round = 0; round < 2; round++)
      await Promise.all([one.step([first, second], 1e-3), one.step([second, first], 1e-3)]);
    const before = gpu.snapshot();
    const results = [one.step([first, second], 1e-3), one.step([second, first], 1e-3)];
    // No await so far: everything has been submitted by the calls themselves.
    const after = gpu.snapshot();
    expect(after.buffers - before.buffers).toBe(0);
    expect(after.bindGroups - before.bindGroups).toBe(0);
    expect(after.pipelines - before.pipelines).toBe(0);
    expect(after.bytes - before.bytes).toBe(0);
    // One submit a micro-batch, one readback a step.
    expect(after.submits - before.submits).toBe(4);
    expect(after.readbacks - before.readbacks).toBe(2);
    const dispatches = after.dispatches - before.dispatches;
    expect(dispatches).toBeGreaterThan(100);
    expect(dispatches).toBeLessThan(4 * 110);
    for (const { loss, grad_norm } of await Promise.all(results)) {
      expect(loss).toBeGreaterThan(0);
      expect(grad_norm).toBeGreaterThan(0);
    }
    expect(gpu.snapshot()).toMatchObject({ buffers: after.buffers, bindGroups: after.bindGroups });
  });

  it("shares memory among plans of different sizes", async () => {
    const one = await trainer(reward);
    const { bytes } = one.memory;
    for (const count of [2, 8, 5]) await one.step([pack(texts(count, 3))], 1e-3);
    const grown = one.memory.bytes - bytes;
    // Only the inputs of the two new plans.
    expect(grown).toBeGreaterThan(0);
    expect(grown).toBeLessThan(20_000);
  });
});

describe("equivalences", () => {
  const all = texts(8, 4);

  it.each([
    ["reward", reward],
    ["causal-lm", language],
  ])("%s: 8 micro-batches of 1 are one of 8", async (_, options) => {
    const one = await trainer(options);
    const whole = await one.backward([pack(all)]);
    const gradients = await one.gradients();
    const parts = await one.backward(all.map((text) => pack([text])).filter((batch) => learns(batch, options)));
    expect(Math.abs(parts.loss - whole.loss)).toBeLessThanOrEqual(1e-6 * whole.loss);
    expect(Math.abs(parts.grad_norm - whole.grad_norm)).toBeLessThanOrEqual(1e-5 * whole.grad_norm);
    expect(distance(gradients, await one.gradients())).toBeLessThanOrEqual(2e-5);
  });

  /** A text of one token has no target; alone in a micro-batch it is legal, but teaches nothing. */
  function learns(batch: PackedBatch, options: TrainerOptions): boolean {
    return options.task === "reward" || (batch.targets ?? []).some((target) => target !== IGNORED);
  }

  it("the order of texts and what fills the stream do not matter", async () => {
    const one = await trainer(reward);
    const scores = (await one.forward(pack(all))).scores ?? new Float32Array();
    expect(scores).toHaveLength(8);
    const reversed = (await one.forward(pack([...all].reverse()))).scores ?? new Float32Array();
    for (const [index, text] of all.entries()) {
      const alone = (await one.forward(pack([text]))).scores?.[0] ?? Number.NaN;
      expect(Math.abs(alone - (scores[index] ?? 0))).toBeLessThanOrEqual(2e-6);
      expect(Math.abs((reversed[7 - index] ?? Number.NaN) - (scores[index] ?? 0))).toBeLessThanOrEqual(2e-6);
    }
  });

  it("padding as tokens that nobody sees gives the packed stream's numbers", async () => {
    const one = await trainer(reward);
    const longest = Math.max(...all.map(({ ids }) => ids.length));
    const packed = await one.backward([pack(all)]);
    const gradients = await one.gradients();
    // The padded layout: each text followed by padding, which is a text of its own that no loss counts.
    const rows = all.flatMap(({ ids, label }) => [
      { ids, label },
      ...Array.from({ length: longest - ids.length }, () => ({ ids: [1], label: 0 })),
    ]);
    const wide = pack(rows);
    const isText = rows.map((row) => all.some(({ ids }) => ids === row.ids));
    const padded: PackedBatch = {
      ...wide,
      last_index: (wide.last_index ?? new Int32Array()).filter((_, index) => isText[index]),
      labels: (wide.labels ?? new Int32Array()).filter((_, index) => isText[index]),
    };
    const result = await one.backward([padded]);
    expect(padded.input_ids.length).toBeGreaterThan(pack(all).input_ids.length);
    expect(Math.abs(result.loss - packed.loss)).toBeLessThanOrEqual(1e-6 * packed.loss);
    expect(distance(gradients, await one.gradients())).toBeLessThanOrEqual(2e-5);
  });

  it("saved, loaded and continued is uninterrupted, bit by bit", async () => {
    const batches = [1, 2, 3, 4, 5, 6].map((seed) => [pack(texts(6, seed)), pack(texts(3, seed + 10))]);
    const straight = await trainer(reward);
    const losses: number[] = [];
    for (const batch of batches) losses.push((await straight.step(batch, 2e-3)).loss);

    const early = await trainer(reward);
    for (const batch of batches.slice(0, 3)) await early.step(batch, 2e-3);
    const state = await early.exportState();
    expect(state.optimizer_step).toBe(3);
    const late = await trainer(reward);
    await late.importState(state);
    const resumed: number[] = [];
    for (const batch of batches.slice(3)) resumed.push((await late.step(batch, 2e-3)).loss);
    expect(resumed).toEqual(losses.slice(3));
    const [a, b] = [await straight.exportState(), await late.exportState()];
    expect(b.optimizer_step).toBe(6);
    expectSameBits(a.weights, b.weights);
    expectSameBits(a.exp_avg, b.exp_avg);
    expectSameBits(a.exp_avg_sq, b.exp_avg_sq);
    expect(distance(state.weights, a.weights)).toBeGreaterThan(1e-4);
  });
});

describe("learning", () => {
  it.each([["binary"], ["cross-entropy"], ["pairwise"]] as const)("%s separates two words", async (objective) => {
    const options: TrainerOptions = { ...reward, objective };
    const one = await trainer(options);
    const good = texts(4, 20).map(({ ids }) => ({ ids: [...ids, 10], label: 1 }));
    const bad = texts(4, 21).map(({ ids }) => ({ ids: [...ids, 11], label: 0 }));
    const batch = pack([...good, ...bad]);
    const first = await one.step([batch], 3e-3);
    let last = first;
    for (let step = 0; step < 30; step++) last = await one.step([batch], 3e-3);
    expect(last.loss).toBeLessThan(0.3 * first.loss);
    const { scores, loss } = await one.forward(batch);
    expect(loss).toBeLessThan(0.3 * first.loss);
    expect(scores).toHaveLength(objective === "cross-entropy" ? 16 : 8);
  });

  it("leaves frozen parameters alone and gives them no gradient", async () => {
    const trainable = (name: string) => name.startsWith("gpt_neox.layers.1.") || name === "score.weight";
    const one = await trainer({ ...reward, trainable });
    const before = await one.store.read("weights");
    await one.step([pack(all())], 1e-2);
    const after = await one.store.read("weights");
    expect([...(await one.exportState()).weights.keys()].every(trainable)).toBe(true);
    const names = [...(await one.gradients()).keys()];
    expect(names.length).toBeGreaterThan(5);
    expect(names.every(trainable)).toBe(true);
    for (const [name, tensor] of before) {
      const same = tensor.every((value, index) => value === after.get(name)?.[index]);
      expect(same, name).toBe(!trainable(name));
    }
    // The trained part's gradient is that of full training.
    const full = await trainer(reward);
    await full.backward([pack(all())]);
    const wanted = new Map([...(await full.gradients())].filter(([name]) => trainable(name)));
    const frozen = await trainer({ ...reward, trainable });
    await frozen.backward([pack(all())]);
    expect(distance(wanted, await frozen.gradients())).toBeLessThanOrEqual(1e-6);
  });

  function all(): Text[] {
    return texts(8, 4);
  }
});

describe("refusals", () => {
  it("says what does not fit, and how much is granted, before it allocates", async () => {
    const granted = gpu.capabilities.maxStorageBufferBindingSize;
    const before = gpu.snapshot();
    const refused = (details: object) =>
      expect.objectContaining({ code: "gpu.limit", details: expect.objectContaining({ granted, ...details }) });
    const hidden_size = 24 * 2 ** 10;
    const vocab_size = Math.ceil(granted / (4 * hidden_size)) + 1;
    const wide = { ...config, hidden_size, vocab_size, num_attention_heads: 192, head_dim: 128 };
    await expect(Trainer.create(gpu, wide, new Map(), language)).rejects.toEqual(
      // The embedding is stored in parts; this one no op can take apart.
      refused({ what: "gpt_neox.layers.0.attention.query_key_value.weight" }),
    );
    // Logits of a chunk, [tokens, vocabulary], are the largest of the activations.
    const max_tokens = Math.ceil(granted / (4 * 61)) + 1000;
    await expect(Trainer.create(gpu, config, new Map(), { ...language, max_tokens })).rejects.toEqual(
      refused({ needed: expect.any(Number) }),
    );
    await expect(Trainer.create(gpu, config, new Map(), { ...language, max_tokens })).rejects.toThrow(/fewer tokens/);
    expect(gpu.snapshot()).toEqual(before);
  });

  it("names what is wrong with weights and batches", async () => {
    const incomplete = weights(reward);
    incomplete.delete("score.weight");
    await expect(Trainer.create(gpu, config, incomplete, reward)).rejects.toMatchObject({
      code: "model.tensor_missing",
      details: { tensor: "score.weight" },
    });
    const one = await trainer(reward);
    const batch = pack(texts(2, 1));
    batch.input_ids[1] = 61;
    await expect(one.step([batch], 1e-3)).rejects.toMatchObject({ code: "model.bad_tokenizer" });
    await expect(one.step([], 1e-3)).rejects.toMatchObject({ code: "data.empty" });
    // A refused step leaves the trainer usable.
    expect((await one.step([pack(texts(2, 1))], 1e-3)).loss).toBeGreaterThan(0);
  });
});
