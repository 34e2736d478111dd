import { describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { drawPrompts, promptOf } from "./prompts";
import type { Tokenizer } from "./tokenizer";

/** Two characters a token. */
const tokenizer: Tokenizer = {
  encode: (text) => {
    const characters = Array.from(text, (one) => one.codePointAt(0) ?? 0);
    return characters.flatMap((one, index) =>
      index % 2 === 0 ? [one * 0x20_0000 + (characters[index + 1] ?? 0)] : [],
    );
  },
  decode: (ids) =>
    ids.map((id) => String.fromCodePoint(Math.floor(id / 0x20_0000), id % 0x20_0000).replace("\0", "")).join(""),
  eosId: 0,
  padId: 1,
  vocabSize: Number.MAX_SAFE_INTEGER,
};
const characters = (length: number) => ({ unit: "characters", length }) as const;

describe("promptOf", () => {
  it("counts characters, not halves of them", () => {
    expect(promptOf("𠮷野家で", characters(2), tokenizer)?.text).toBe("𠮷野");
  });
  it("counts tokens where asked to", () => {
    expect(promptOf("とても良い", { unit: "tokens", length: 2 }, tokenizer)).toMatchObject({ text: "とても良" });
  });
  it("has none for an empty text", () => {
    expect(promptOf("", characters(2), tokenizer)).toBeNull();
  });
});

describe("drawPrompts", () => {
  const texts = Array.from({ length: 30 }, (_, index) => `${String.fromCodePoint(0x3042 + (index % 10))}あ${index}`);
  const draw = (count: number, seed: number) =>
    drawPrompts(texts, characters(2), count, tokenizer, Random.seeded(seed)).map(({ text }) => text);

  it("gives each beginning once, as many as asked for", () => {
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
