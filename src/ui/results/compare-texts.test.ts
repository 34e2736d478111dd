import { describe, expect, it } from "vitest";
import type { Generation } from "../../shared/protocol/artefact";
import { compareTexts, differenceOf, meaningOf, selectRows, summarise, type TextFilter } from "./compare-texts";

const text = (item: number, model: string, reward: number | null, extra: Partial<Generation> = {}): Generation => ({
  item,
  prompt: `書き出し${item}`,
  model,
  text: `続き${item}`,
  tokens: 10 + item,
  finished: item !== 1,
  rewards: { reward, judge: reward === null ? null : reward / 2 },
  kl: model === "ppo" ? item : 0,
  length: 20 + item,
  ...extra,
});

const COMPARISON = compareTexts([
  text(1, "sft", 0.5),
  text(0, "sft", -1),
  text(2, "sft", null),
  text(0, "ppo", 2, { text: "ＡＢＣです" }),
  text(1, "ppo", 1),
  text(2, "ppo", 1.5),
]);
const FILTER: TextFilter = { sort: { by: "item" }, descending: false, search: "" };
const items = (filter: Partial<TextFilter>) => selectRows(COMPARISON, { ...FILTER, ...filter }).map(({ item }) => item);

describe("compareTexts", () => {
  it("groups by prompt and keeps the order of the models", () => {
    expect(COMPARISON.models).toEqual(["sft", "ppo"]);
    expect(COMPARISON.rewards).toEqual(["reward", "judge"]);
    expect(COMPARISON.rows.map(({ item }) => item)).toEqual([0, 1, 2]);
    const [first] = COMPARISON.rows;
    expect(first && differenceOf(first, "ppo", "sft", "reward")).toBe(3);
  });
});

describe("summarise", () => {
  it("compares on the prompts that both models have a reward for", () => {
    const [sft, ppo] = summarise(COMPARISON, 0);
    expect(sft?.differences).toBeNull();
    expect(sft?.rewards.reward).toBeCloseTo(-0.25, 12);
    expect(ppo?.differences?.reward).toMatchObject({ mean: 1.75, count: 2 });
    // Two values: every resample lies between them.
    expect(ppo?.differences?.reward?.interval).toEqual({ low: 0.5, high: 3 });
    expect(ppo?.differences?.judge?.mean).toBeCloseTo(0.875, 12);
    expect(ppo?.kl).toBe(1);
    expect(ppo?.cut_off).toBeCloseTo(1 / 3, 12);
  });
});

describe("meaningOf", () => {
  it("calls a difference clear only where the interval leaves out zero", () => {
    const interval = (low: number, high: number) => ({ mean: 0, interval: { low, high }, count: 9 });
    expect(meaningOf(interval(0.1, 2))).toBe("better");
    expect(meaningOf(interval(-2, -0.1))).toBe("worse");
    expect(meaningOf(interval(-1, 1))).toBe("unclear");
    expect(meaningOf({ mean: 5, interval: null, count: 1 })).toBe("unclear");
    expect(meaningOf(null)).toBe("unclear");
  });
});

describe("selectRows", () => {
  it("sorts by number, reward, difference, KL and length, missing values last", () => {
    expect(items({ descending: true })).toEqual([2, 1, 0]);
    expect(items({ sort: { by: "reward", model: "ppo", reward: "reward" }, descending: true })).toEqual([0, 2, 1]);
    const difference = { by: "difference", model: "ppo", reward: "reward" } as const;
    expect(items({ sort: difference, descending: true })).toEqual([0, 1, 2]);
    expect(items({ sort: difference })).toEqual([1, 0, 2]);
    expect(items({ sort: { by: "kl", model: "ppo" }, descending: true })).toEqual([2, 1, 0]);
    expect(items({ sort: { by: "length", model: "sft" } })).toEqual([0, 1, 2]);
  });
  it("finds texts whatever the width of their letters", () => {
    expect(items({ search: "abc" })).toEqual([0]);
    expect(items({ search: "書き出し2" })).toEqual([2]);
  });
});
