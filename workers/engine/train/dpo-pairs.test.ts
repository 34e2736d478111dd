import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { DEFAULT_DPO_STAGE } from "../../../src/shared/protocol/defaults";
import { createTokenizer, type Tokenizer } from "../data/tokenizer";
import { type Completion, chosenIds } from "./completions";
import {
  type EncodedPair,
  groupPairs,
  PairSampler,
  packWeighed,
  pairLimits,
  readPairs,
  tokensOf,
  type WeighedPair,
} from "./dpo-pairs";
import type { DataFile } from "./stage";
import { tinyData } from "./tiny";

const file = (name: string) =>
  readFileSync(new URL(`../../../public/models/nagi-base/${name}`, import.meta.url), "utf8");

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await createTokenizer(file("tokenizer.json"), file("tokenizer_config.json"));
});

const jsonl = (rows: readonly object[]): DataFile => ({
  name: "pairs.jsonl",
  bytes: new TextEncoder().encode(rows.map((row) => JSON.stringify(row)).join("\n")),
});
const read = (pairs: DataFile | null, change: Partial<typeof DEFAULT_DPO_STAGE> = {}, maxLength = 64) =>
  readPairs({ data: tinyData, pairs }, { ...DEFAULT_DPO_STAGE, ...change }, tokenizer, { seed: 3, maxLength });
const prompt = ({ ids, prompt_tokens }: Completion) => tokenizer.decode([...ids.subarray(0, prompt_tokens)]);
const answer = (text: Completion) => tokenizer.decode([...chosenIds(text)], { keepSpecial: true });

describe("pairs from a file", () => {
  const rows = Array.from({ length: 20 }, (_, i) => ({ prompt: `商品${i}は`, chosen: "良い", rejected: "良くない" }));

  it("answer the same prompt, closed by EOS; a tenth is kept back", async () => {
    const { train, validation, truncated } = await read(jsonl(rows));
    expect([train.length, validation.length, truncated]).toEqual([18, 2, 0]);
    for (const { chosen, rejected } of [...train, ...validation]) {
      expect(prompt(chosen)).toMatch(/^商品\d+は$/);
      expect(prompt(rejected)).toBe(prompt(chosen));
      expect([answer(chosen), answer(rejected)]).toEqual(["良い<|endoftext|>", "良くない<|endoftext|>"]);
    }
    expect(new Set([...train, ...validation].map(({ chosen }) => prompt(chosen))).size).toBe(20);
    expect((await read(jsonl(rows))).train).toEqual(train);
    expect(await read(jsonl(rows.slice(0, 1)))).toMatchObject({ validation: [] });
  });

  it("begin with EOS where there is no prompt, as text in pre-training does", async () => {
    const { train } = await read(jsonl([{ prompt: "", chosen: "良い", rejected: "悪い" }]));
    const [pair] = train;
    expect([...(pair?.chosen.ids ?? [])].at(0)).toBe(tokenizer.eosId);
    expect(pair?.chosen.prompt_tokens).toBe(1);
  });

  it("lose the end of what is too long, and a prompt that leaves no room takes its pair along", async () => {
    const long = { prompt: "商品は", chosen: "とても良い商品でした。また買います。", rejected: "悪い" };
    const size = tokenizer.encode(long.prompt).length;
    const { train, truncated } = await read(jsonl([long]), {}, size + 3);
    expect(truncated).toBe(1);
    expect(train[0]?.chosen.ids.length).toBe(size + 3);
    expect(answer(train[0]?.chosen ?? { ids: new Int32Array(), prompt_tokens: 0 })).not.toContain("<|endoftext|>");
    expect(await read(jsonl([long]), {}, size)).toMatchObject({ train: [], truncated: 2 });
  });
});

describe("pairs from labels", () => {
  it("set a positive text over a negative one, each after its own beginning", async () => {
    const { train, validation } = await read(null, { prompt: { unit: "characters", length: 3 } });
    expect(train.length).toBeGreaterThan(20);
    expect(validation.length).toBeGreaterThan(5);
    const text = (one: Completion) => tokenizer.decode([...one.ids]);
    for (const { chosen, rejected } of train) {
      expect(text(chosen)).toMatch(/とても良い|最高です|大満足|また買います/);
      expect(text(rejected)).toMatch(/とても悪い|最低です|がっかり|もう買いません/);
      expect(prompt(chosen)).toHaveLength(3);
    }
  });

  it("cut beginnings in tokens, too", async () => {
    const { train } = await read(null, { prompt: { unit: "tokens", length: 2 } });
    expect(train.every(({ chosen, rejected }) => chosen.prompt_tokens === 2 && rejected.prompt_tokens === 2)).toBe(
      true,
    );
  });
});

describe("steps over pairs", () => {
  const text = (length: number): Completion => ({ ids: new Int32Array(length).fill(5), prompt_tokens: 1 });
  const pair = (a: number, b: number): EncodedPair => ({ chosen: text(a), rejected: text(b) });
  const weighed = (a: number, b: number, i: number): WeighedPair => ({
    ...pair(a, b),
    reference_chosen: -i,
    reference_rejected: -100 - i,
  });

  it("groups hold what fits in tokens and texts, in order", () => {
    const pairs = [pair(3, 4), pair(5, 5), pair(2, 2), pair(9, 9)];
    const sizes = (limits: { max_tokens: number; max_texts: number }) =>
      groupPairs(pairs, limits).map((group) => group.map(tokensOf));
    expect(sizes({ max_tokens: 18, max_texts: 8 })).toEqual([[7, 10], [4], [18]]);
    expect(sizes({ max_tokens: 100, max_texts: 4 })).toEqual([
      [7, 10],
      [4, 18],
    ]);
    expect(pairLimits({ train: pairs, validation: [pair(20, 20)], truncated: 0 }, 2)).toEqual({
      max_tokens: 58,
      max_texts: 4,
    });
  });

  it("streams hold the chosen texts first, and the reference's numbers in the same order", () => {
    const batch = packWeighed([weighed(2, 3, 1), weighed(4, 5, 2)]);
    expect([...(batch.last_index ?? [])]).toEqual([1, 5, 8, 13]);
    expect([...(batch.reference_logps ?? [])]).toEqual([-1, -2, -101, -102]);
  });

  it("every pair once an epoch; a restored sampler goes on where the other stood", () => {
    const pairs = Array.from({ length: 7 }, (_, i) => weighed(2 + i, 3, i));
    const options = { seed: 1, batch_size: 2, accumulation: 1, limits: { max_tokens: 100, max_texts: 4 } };
    const sampler = new PairSampler(pairs, options);
    expect(sampler.steps_per_epoch).toBe(4);
    const epoch = Array.from({ length: 4 }, () => sampler.next());
    expect(epoch.reduce((sum, step) => sum + step.tokens, 0)).toBe(pairs.reduce((sum, one) => sum + tokensOf(one), 0));
    const other = new PairSampler(pairs, options);
    other.restore(sampler.state());
    expect(other.next()).toEqual(sampler.next());
  });
});
