import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { createTokenizer, type Tokenizer } from "../data/tokenizer";
import { drawPrompts, promptOf, writtenText } from "./prompts";

const file = (name: string) =>
  readFileSync(new URL(`../../../public/models/nagi-base/${name}`, import.meta.url), "utf8");

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await createTokenizer(file("tokenizer.json"), file("tokenizer_config.json"));
});

describe("prompts", () => {
  const text = "とても良い商品でした。また買います。";

  it("are the first characters of a text, never half of one", () => {
    expect(promptOf(tokenizer, text, { unit: "characters", length: 5 })?.text).toBe("とても良い");
    expect(promptOf(tokenizer, "𠮷野家です", { unit: "characters", length: 1 })?.text).toBe("𠮷");
    expect(promptOf(tokenizer, "短い", { unit: "characters", length: 50 })?.text).toBe("短い");
  });

  it("are the first tokens of a text", () => {
    const prompt = promptOf(tokenizer, text, { unit: "tokens", length: 3 });
    expect([...(prompt?.ids ?? [])]).toEqual(tokenizer.encode(text).slice(0, 3));
    expect(text.startsWith(prompt?.text ?? "x")).toBe(true);
  });

  it("leave out texts without a token", () => {
    expect(promptOf(tokenizer, "", { unit: "characters", length: 5 })).toBeNull();
  });

  it("are followed by continuations, which decode as one text, EOS left out", () => {
    const prompt = promptOf(tokenizer, text, { unit: "characters", length: 5 });
    if (!prompt) throw new Error("no prompt");
    const more = Int32Array.from([...tokenizer.encode("商品でした。"), tokenizer.eosId]);
    expect(writtenText(tokenizer, prompt, more)).toEqual({ whole: "とても良い商品でした。", text: "商品でした。" });
  });
});

describe("drawPrompts", () => {
  const texts = Array.from({ length: 30 }, (_, index) => `${"良悪新古大小長短高安"[index % 10]}い品${index}`);
  const draw = (count: number, seed: number) =>
    drawPrompts(tokenizer, texts, { unit: "characters", length: 3 }, count, Random.seeded(seed)).map(
      ({ text }) => text,
    );

  it("gives each prompt once, as many as asked for", () => {
    expect(draw(4, 1)).toHaveLength(4);
    const all = draw(100, 1);
    expect(all).toHaveLength(10);
    expect(new Set(all).size).toBe(10);
  });

  it("is decided by the seed alone", () => {
    expect(draw(8, 1)).toEqual(draw(8, 1));
    expect(draw(8, 1)).not.toEqual(draw(8, 2));
  });
});
