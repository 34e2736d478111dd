import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import expected from "./fixtures/tokenizer.json";
import { parseDataset } from "./formats";
import { createTokenizer, loadTokenizer, type Tokenizer } from "./tokenizer";

const read = (path: string) => readFileSync(new URL(`../../../public/${path}`, import.meta.url), "utf8");
const tokenizerJson = read("models/nagi-base/tokenizer.json");
const configJson = read("models/nagi-base/tokenizer_config.json");
const reviews = (split: string) => parseDataset(read(`datasets/reviews-ja/${split}.jsonl`), `${split}.jsonl`).rows;

async function failure(json: string, config: string | null): Promise<NagiError> {
  try {
    await createTokenizer(json, config);
  } catch (error) {
    if (error instanceof NagiError) return error;
    throw error;
  }
  return expect.fail("the tokenizer was accepted");
}

describe("the bundled tokenizer against Python's tokenizers", () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await createTokenizer(tokenizerJson, configJson);
  });

  it("knows its special tokens", () => {
    expect([tokenizer.eosId, tokenizer.padId, tokenizer.vocabSize]).toEqual([0, 1, 8192]);
  });

  it("encodes and decodes 300 reviews alike", () => {
    const rows = reviews("test").slice(0, expected.reviews.length);
    expect(rows.length).toBe(300);
    for (const [i, { sentence }] of rows.entries()) {
      expect(tokenizer.encode(sentence), sentence).toEqual(expected.reviews[i]);
      expect(tokenizer.decode(expected.reviews[i] ?? [])).toBe(sentence);
    }
  });

  it.each(expected.odd.map((odd) => ({ ...odd, name: JSON.stringify(odd.text.slice(0, 24)) })))(
    "encodes and decodes $name alike",
    ({ text, ids, decoded }) => {
      expect(tokenizer.encode(text)).toEqual(ids);
      expect(tokenizer.decode(ids, { keepSpecial: true })).toBe(decoded);
    },
  );

  it("leaves special tokens out of a decoded text unless asked", () => {
    const ids = [...tokenizer.encode("良い"), tokenizer.eosId];
    expect(tokenizer.decode(ids)).toBe("良い");
    expect(tokenizer.decode(ids, { keepSpecial: true })).toBe("良い<|endoftext|>");
    expect(tokenizer.decode([])).toBe("");
  });

  it("gives the 4,332 training reviews as many tokens as the reference", () => {
    const tokens = reviews("train").reduce((sum, { sentence }) => sum + tokenizer.encode(sentence).length, 0);
    expect(tokens).toBe(expected.train_tokens);
  }, 120_000);
});

describe("other tokenizers", () => {
  it("needs no tokenizer_config.json, and pads with the end of text where there is no padding token", async () => {
    const json = JSON.parse(tokenizerJson);
    json.added_tokens = json.added_tokens.slice(0, 1);
    delete json.model.vocab["<|padding|>"];
    const tokenizer = await createTokenizer(JSON.stringify(json), null);
    expect([tokenizer.eosId, tokenizer.padId]).toEqual([0, 0]);
  });

  it("comes from a model's files, and says which one is missing", async () => {
    const bytes = new TextEncoder().encode(tokenizerJson);
    const tokenizer = await loadTokenizer(new Map([["tokenizer.json", bytes]]));
    expect(tokenizer.padId).toBe(1);
    await expect(loadTokenizer(new Map())).rejects.toMatchObject({
      code: "model.bad_tokenizer",
      details: { file: "tokenizer.json", reason: "is missing" },
    });
  });

  it("reads special tokens that are objects", async () => {
    const config = { eos_token: { __type: "AddedToken", content: "<|padding|>" }, pad_token: "<|endoftext|>" };
    const tokenizer = await createTokenizer(tokenizerJson, JSON.stringify(config));
    expect([tokenizer.eosId, tokenizer.padId]).toEqual([1, 0]);
  });

  it.each([
    ["not JSON", "{", null, "tokenizer.json"],
    ["no object", "[]", null, "tokenizer.json"],
    ["no vocabulary", "{}", null, "tokenizer.json"],
    ["an unknown model", '{"model": {"type": "Magic", "vocab": {"<|endoftext|>": 0}}}', null, "tokenizer.json"],
    ["a broken id", '{"model": {"type": "BPE", "vocab": {"<|endoftext|>": -1}}}', null, "tokenizer.json"],
    ["a broken config", tokenizerJson, "nope", "tokenizer_config.json"],
    ["an unknown end of text", tokenizerJson, '{"eos_token": "</s>"}', "tokenizer_config.json"],
  ])("refuses %s, naming the file", async (_what, json, config, file) => {
    const error = await failure(json, config);
    expect(error.code).toBe("model.bad_tokenizer");
    expect(error.details.file).toBe(file);
  });
});
