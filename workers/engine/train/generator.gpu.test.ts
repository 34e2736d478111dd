/** Generation against transformers' own continuations, against the full forward pass, and against itself. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { openCheckpoint } from "../io/hf-model";
import { loadAdapter } from "../io/peft";
import { MapSource } from "../io/source";
import type { TensorValues } from "../io/tensors";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { ParameterStore } from "../model/params";
import { type Generated, type GenerateOptions, Generator } from "./generator";
import { layOutModel } from "./model-layout";
import { Trainer } from "./trainer";

const golden = (path: string) => fileURLToPath(new URL(`../golden/${path}`, import.meta.url));
const folder = (path: string) =>
  new MapSource(
    path,
    new Map(readdirSync(path).map((name) => [name, new Uint8Array(readFileSync(`${path}/${name}`))])),
  );
const ids = z.array(z.array(z.int()));
const expectations = z
  .object({
    new_tokens: z.int(),
    greedy: z.array(
      z.object({
        model: z.string(),
        adapter: z.boolean(),
        prompts: ids,
        expected: ids,
        eos: z.int(),
        expected_with_eos: ids,
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(golden("generate.json"), "utf8")));

const HEAD = { kind: "causal-lm" } as const;
const greedy: GenerateOptions = {
  max_new_tokens: expectations.new_tokens,
  temperature: 0,
  top_k: 0,
  top_p: 1,
  seed: 0,
  eos_token_id: null,
};
const sampled: GenerateOptions = { ...greedy, temperature: 0.9, seed: 3 };
const prompt = (...tokens: number[]) => Int32Array.from(tokens);
const lists = ({ ids }: Generated) => ids.map((text) => [...text]);

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

/** A golden model on the GPU in f32, with its adapter. */
async function openStore(name: string, adapter: boolean): Promise<{ config: NeoxConfig; store: ParameterStore }> {
  const loaded = await openCheckpoint(folder(golden(`${name}/model`)));
  const config = parseNeoxConfig(loaded.configJson);
  const side = adapter ? await loadAdapter(folder(golden(`${name}/adapter`)), config, HEAD) : undefined;
  const { layout } = layOutModel(gpu.capabilities, config, HEAD, {
    frozen: true,
    frozen_dtype: "f32",
    ...(side ? { lora: side.lora } : {}),
  });
  const store = ParameterStore.allocate(gpu, layout);
  await store.load("weights", new Map<string, TensorValues>([...loaded.tensors, ...(side?.tensors ?? [])]), name);
  return { config, store };
}

async function withGenerator<T>(
  name: string,
  options: { max_texts: number; max_length: number },
  action: (generator: Generator) => Promise<T>,
): Promise<T> {
  const { config, store } = await openStore(name, false);
  const generator = await Generator.create(gpu, config, store, { ...options, adapter: false });
  try {
    return await action(generator);
  } finally {
    generator.destroy();
    store.destroy();
  }
}

describe("greedy continuations are transformers'", () => {
  for (const { model, adapter, prompts, expected, eos, expected_with_eos } of expectations.greedy)
    it(`${model}${adapter ? " with its adapter" : ""}, ragged prompts, with and without EOS`, async () => {
      // The base's continuations also come out of a store that holds an adapter, if it is left out.
      const { config, store } = await openStore(model, model.startsWith("lora"));
      const generator = await Generator.create(gpu, config, store, { max_texts: 5, max_length: 40, adapter });
      const tokens = prompts.map((text) => prompt(...text));
      const all = await generator.generate(tokens, greedy);
      expect(lists(all)).toEqual(expected);
      expect(all.finished).toEqual(prompts.map(() => false));
      const ended = await generator.generate(tokens, { ...greedy, eos_token_id: eos });
      expect(lists(ended)).toEqual(expected_with_eos);
      expect(ended.finished).toEqual(expected_with_eos.map((text) => text.at(-1) === eos));
      expect(ended.ids[0]?.length).toBe(1);
      generator.destroy();
      store.destroy();
    });
});

describe("a generator", () => {
  const prompts = [prompt(7), prompt(3, 9, 4, 4), prompt(11, 2), prompt(5, 6, 7, 8, 9, 10, 11)];

  it("draws the same tokens from a seed, whatever the other texts of the batch", async () => {
    const five = { max_texts: 4, max_length: 32 };
    await withGenerator("lm-sequential", five, async (generator) => {
      const all = await generator.generate(prompts, sampled);
      const again = await generator.generate(prompts, sampled);
      expect(again).toEqual(all);
      expect(lists(await generator.generate(prompts, { ...sampled, seed: 4 }))).not.toEqual(lists(all));
      expect(lists(await generator.generate(prompts, { ...sampled, seed: sampled.seed + 2 ** 32 }))).not.toEqual(
        lists(all),
      );
      // Text 1 beside others, and text 0 alone.
      const other = await generator.generate([prompt(20, 21), ...prompts.slice(1, 2), prompt(1)], sampled);
      expect([other.ids[1], other.logprobs[1]]).toEqual([all.ids[1], all.logprobs[1]]);
      const alone = await generator.generate(prompts.slice(0, 1), sampled);
      expect([alone.ids[0], alone.logprobs[0]]).toEqual([all.ids[0], all.logprobs[0]]);
      // The same prompt twice is two texts.
      const [first, second] = lists(await generator.generate([prompt(7), prompt(7)], sampled));
      expect(first).not.toEqual(second);
      await withGenerator("lm-sequential", { max_texts: 3, max_length: 32 }, async (small) => {
        expect(lists(await small.generate(prompts, sampled))).toEqual(lists(all));
      });
    });
  });

  it("does one call after another, and none for no prompts", async () => {
    await withGenerator("lm-sequential", { max_texts: 2, max_length: 32 }, async (generator) => {
      const [a, b] = await Promise.all([
        generator.generate(prompts.slice(0, 2), sampled),
        generator.generate(prompts.slice(2), { ...sampled, seed: 8 }),
      ]);
      expect(await generator.generate(prompts.slice(0, 2), sampled)).toEqual(a);
      expect(await generator.generate(prompts.slice(2), { ...sampled, seed: 8 })).toEqual(b);
      expect(await generator.generate([], sampled)).toEqual({ ids: [], logprobs: [], finished: [] });
    });
  });

  it("stops at max_new_tokens, or where a text has max_length tokens, unfinished", async () => {
    await withGenerator("lm-sequential", { max_texts: 4, max_length: 9 }, async (generator) => {
      const long = await generator.generate(prompts, sampled);
      expect(long.ids.map(({ length }) => length)).toEqual([8, 5, 7, 2]);
      expect(long.logprobs.map(({ length }) => length)).toEqual([8, 5, 7, 2]);
      expect(long.finished).toEqual([false, false, false, false]);
      const short = await generator.generate(prompts, { ...sampled, max_new_tokens: 3 });
      expect(lists(short)).toEqual(lists(long).map((text) => text.slice(0, 3)));
    });
  });

  it("refuses prompts it cannot continue", async () => {
    await withGenerator("lm-sequential", { max_texts: 2, max_length: 4 }, async (generator) => {
      const refused = (ids: Int32Array) => () => generator.generate([prompt(1), ids], greedy);
      expect(refused(prompt())).toThrow(expect.objectContaining({ code: "data.empty" }));
      expect(refused(prompt(1, 2, 3, 4))).toThrow(expect.objectContaining({ code: "config.invalid" }));
      expect(refused(prompt(1, 61))).toThrow(expect.objectContaining({ code: "model.bad_tokenizer" }));
      expect((await generator.generate([prompt(1, 2, 3)], greedy)).ids[0]?.length).toBe(1);
    });
  });

  it("allocates, compiles and binds nothing once it is warm", async () => {
    await withGenerator("lm-sequential", { max_texts: 4, max_length: 40 }, async (generator) => {
      await generator.generate(prompts, sampled);
      const before = gpu.snapshot();
      await generator.generate(prompts, { ...sampled, seed: 9, max_new_tokens: 24 });
      const after = gpu.snapshot();
      const { dispatches, submits, readbacks, ...kept } = after;
      expect(kept).toEqual({
        buffers: before.buffers,
        bindGroups: before.bindGroups,
        pipelines: before.pipelines,
        bytes: before.bytes,
      });
      // 24 steps in 3 submits, a prefill and the last reads; a look after each submit and three reads at the end.
      expect(submits - before.submits).toBe(5);
      expect(readbacks - before.readbacks).toBe(6);
      expect(dispatches).toBeGreaterThan(before.dispatches);
    });
  });
});

describe.each(["lm-sequential", "lm-parallel-partial", "lm-odd-head"])("%s shared with a trainer", (name) => {
  it("log-probabilities are those of the full forward pass, before and after a step of training", async () => {
    const loaded = await openCheckpoint(folder(golden(`${name}/model`)));
    const config = parseNeoxConfig(loaded.configJson);
    const trainer = await Trainer.create(gpu, config, loaded.tensors, {
      task: "causal-lm",
      optimizer: { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, max_grad_norm: 0 },
      max_tokens: 128,
      max_texts: 4,
    });
    const generator = await Generator.create(gpu, config, trainer.store, {
      max_texts: 3,
      max_length: 32,
      adapter: true,
    });
    const prompts = [prompt(3, 1, 4), prompt(9), prompt(2, 7, 1, 8, 2, 8)];
    let earlier: number[][] | undefined;
    for (const round of [0, 1]) {
      for (const options of [sampled, greedy, { ...sampled, temperature: 1.4, top_k: 8, top_p: 0.7 }]) {
        const { ids, logprobs } = await generator.generate(prompts, options);
        for (const [text, start] of prompts.entries()) {
          const whole = [...start, ...(ids[text] ?? [])];
          const expected = await fullLogprobs(trainer, config, whole, start.length, options.temperature || 1);
          expect(logprobs[text]?.length).toBe(expected.length);
          const worst = expected.reduce(
            (max, value, i) => Math.max(max, Math.abs(value - (logprobs[text]?.[i] ?? NaN))),
            0,
          );
          expect(worst <= 1e-4, `round ${round}, text ${text}: off by ${worst}`).toBe(true);
        }
      }
      const texts = lists(await generator.generate(prompts, sampled));
      expect(texts).not.toEqual(earlier);
      earlier = texts;
      await trainer.step([stream([3, 1, 4, 1, 5, 9, 2, 6])], 0.05);
    }
    generator.destroy();
    trainer.destroy();
  });
});

/** One text as a batch of its own. */
function stream(tokens: readonly number[]) {
  return {
    input_ids: Int32Array.from(tokens),
    position_ids: Int32Array.from(tokens.keys()),
    segment_start: new Int32Array(tokens.length),
    segment_end: new Int32Array(tokens.length).fill(tokens.length),
    targets: Int32Array.from([...tokens.slice(1), -100]),
  };
}

/** log softmax(logits / temperature) of the tokens from `start` on. */
async function fullLogprobs(
  trainer: Trainer,
  config: NeoxConfig,
  tokens: readonly number[],
  start: number,
  temperature: number,
): Promise<number[]> {
  const { logits } = await trainer.forward(stream(tokens), { logits: true });
  if (!logits) throw new Error("no logits");
  const V = config.vocab_size;
  return tokens.slice(start).map((token, i) => {
    const row = Array.from(logits.subarray((start + i - 1) * V, (start + i) * V), (logit) => logit / temperature);
    const peak = Math.max(...row);
    return (row[token] ?? NaN) - peak - Math.log(row.reduce((sum, score) => sum + Math.exp(score - peak), 0));
  });
}
