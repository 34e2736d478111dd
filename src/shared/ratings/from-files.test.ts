import { describe, expect, it } from "vitest";
import { NagiError } from "../errors";
import { textsFromFiles } from "./from-files";

const lines = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join("\n");
const refusal = (run: () => unknown): NagiError => {
  try {
    run();
  } catch (error) {
    if (error instanceof NagiError) return error;
  }
  throw new Error("was accepted");
};

describe("textsFromFiles", () => {
  it("takes a file a model, paired by prompt, in the order of the first", () => {
    const found = textsFromFiles([
      {
        name: "sft.jsonl",
        text: `\uFEFF${lines([
          { prompt: "あ", text: "1" },
          { prompt: "い", text: "2" },
        ])}\n\n`,
      },
      {
        name: "ppo.v2.jsonl",
        text: lines([
          { prompt: "い", completion: "4" },
          { prompt: "あ", response: "3", reward: 2 },
        ]),
      },
    ]);
    expect(found.models).toEqual(["sft", "ppo.v2"]);
    expect(found.rewards).toEqual(["reward"]);
    expect(found.items).toEqual([
      {
        item: 1,
        prompt: "あ",
        texts: [
          { model: "sft", text: "1", rewards: {} },
          { model: "ppo.v2", text: "3", rewards: { reward: 2 } },
        ],
      },
      {
        item: 2,
        prompt: "い",
        texts: [
          { model: "sft", text: "2", rewards: {} },
          { model: "ppo.v2", text: "4", rewards: {} },
        ],
      },
    ]);
  });

  it("keeps equal prompts apart by their order, or by number", () => {
    const same = (texts: readonly string[]) => lines(texts.map((text) => ({ prompt: "あ", text })));
    const byOrder = textsFromFiles([
      { name: "a.jsonl", text: same(["1", "2"]) },
      { name: "b.jsonl", text: same(["3", "4"]) },
    ]);
    expect(byOrder.items.map(({ texts }) => texts.map(({ text }) => text))).toEqual([
      ["1", "3"],
      ["2", "4"],
    ]);
    const numbered = textsFromFiles([
      {
        name: "a.jsonl",
        text: lines([
          { item: 7, prompt: "あ", text: "1" },
          { item: 3, prompt: "あ", text: "2" },
        ]),
      },
      {
        name: "b.jsonl",
        text: lines([
          { item: 3, prompt: "あ", text: "4" },
          { item: 7, prompt: "あ", text: "3" },
        ]),
      },
    ]);
    expect(numbered.items.map(({ item, texts }) => [item, ...texts.map(({ text }) => text)])).toEqual([
      [7, "1", "3"],
      [3, "2", "4"],
    ]);
  });

  it("reads generations.jsonl with its models, rewards and KL", () => {
    const line = (item: number, model: string, kl: number) => ({
      item,
      prompt: `p${item}`,
      model,
      text: `${model}${item}`,
      tokens: 3,
      finished: true,
      rewards: { reward: item, judge: null },
      kl,
      length: 4,
    });
    const text = lines([line(0, "merge", 0), line(1, "merge", 0), line(0, "ppo", 2), line(1, "ppo", 4)]);
    const found = textsFromFiles([{ name: "generations.jsonl", text }]);
    expect(found.models).toEqual(["merge", "ppo"]);
    expect(found.rewards).toEqual(["reward", "judge"]);
    expect([...found.kl]).toEqual([
      ["merge", 0],
      ["ppo", 3],
    ]);
  });

  it("names the file, the line and the field of what is wrong", () => {
    const good = { name: "a.jsonl", text: lines([{ prompt: "あ", text: "1" }]) };
    const bad: readonly (readonly [string, string, number])[] = [
      ["{", "JSON", 1],
      [`${lines([{ prompt: "あ", text: "1" }])}\n{"prompt": 3, "text": "x"}`, "prompt", 2],
      [lines([{ prompt: "あ" }]), "text", 1],
      [
        lines([
          { item: 1, prompt: "あ", text: "1" },
          { item: 1, prompt: "い", text: "2" },
        ]),
        "item",
        2,
      ],
      [lines([{ prompt: "あ", text: "1", reward: "high" }]), "reward", 1],
      ["\n\n", "prompt", 1],
    ];
    for (const [text, field, line] of bad) {
      const { code, details } = refusal(() => textsFromFiles([good, { name: "b.jsonl", text }]));
      expect([code, details]).toEqual(["rating.bad_text", { file: "b.jsonl", line, field }]);
    }
  });

  it("refuses files that do not belong together, and a single model", () => {
    const one = { name: "a.jsonl", text: lines([{ prompt: "あ", text: "1" }]) };
    const other = { name: "b.jsonl", text: lines([{ prompt: "い", text: "1" }]) };
    const longer = {
      name: "c.jsonl",
      text: lines([
        { prompt: "あ", text: "1" },
        { prompt: "い", text: "2" },
      ]),
    };
    expect(refusal(() => textsFromFiles([one, other])).code).toBe("rating.unpaired");
    expect(refusal(() => textsFromFiles([one, longer])).details).toEqual({
      file: "c.jsonl",
      other: "a.jsonl",
      prompt: "い",
    });
    expect(refusal(() => textsFromFiles([one])).code).toBe("rating.invalid");
  });

  it("gives files of one name names of their own", () => {
    const file = { name: "x.jsonl", text: lines([{ prompt: "あ", text: "1" }]) };
    expect(textsFromFiles([file, file]).models).toEqual(["x", "x-2"]);
  });
});
