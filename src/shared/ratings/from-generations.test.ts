import { describe, expect, it } from "vitest";
import type { Generation } from "../protocol/artefact";
import { ratingItem } from "../protocol/rating";
import { ratingItems } from "./from-generations";

const text = (item: number, model: string): Generation => ({
  item,
  prompt: `p${item}`,
  model,
  text: `${model} on ${item}`,
  tokens: 3,
  finished: true,
  rewards: { judge: item / 2, other: null },
  kl: null,
  length: 4,
});

describe("ratingItems", () => {
  const all = [3, 1, 2, 0, 4].flatMap((item) => [text(item, "sft"), ...(item === 2 ? [] : [text(item, "ppo")])]);

  it("takes the items that every model wrote on", () => {
    const items = ratingItems(all, ["ppo", "sft"], null, 1);
    expect(items.map(({ item }) => item)).toEqual([0, 1, 3, 4]);
    expect(ratingItem.parse(items[1])).toEqual({
      item: 1,
      prompt: "p1",
      texts: [
        { model: "ppo", text: "ppo on 1", rewards: { judge: 0.5, other: null } },
        { model: "sft", text: "sft on 1", rewards: { judge: 0.5, other: null } },
      ],
    });
    expect(ratingItems(all, ["sft"], null, 1)).toHaveLength(5);
  });

  it("draws by the seed, in the order of the evaluation", () => {
    const drawn = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const items = ratingItems(all, ["ppo", "sft"], 2, seed).map(({ item }) => Number(item));
      expect(items).toEqual([...items].sort((a, b) => a - b));
      expect(ratingItems(all, ["ppo", "sft"], 2, seed).map(({ item }) => item)).toEqual(items);
      drawn.add(items.join());
    }
    expect(drawn.size).toBe(6);
  });

  it("says which model lacks texts", () => {
    expect(() => ratingItems(all, ["sft", "ppo"], 5, 1)).toThrow(/5 items are wanted, 4 have.*"ppo" has 4/);
    expect(() => ratingItems(all, ["sft", "dpo"], null, 1)).toThrow(/"dpo" has 0/);
    expect(() => ratingItems([], ["sft", "dpo"], null, 1)).toThrow(/some items are wanted/);
  });
});
