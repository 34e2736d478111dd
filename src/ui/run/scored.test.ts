import { describe, expect, it } from "vitest";
import type { ScoredSample } from "../../shared/protocol/events";
import { distribution, isWrong, meanReward, type SampleFilter, selectSamples } from "./scored";

const sample = (
  index: number,
  label: ScoredSample["label"],
  reward: number | null,
  sentence = `文 ${index}`,
): ScoredSample => ({
  index,
  review_id: null,
  sentence,
  label,
  reward,
  truncated: false,
});
const SAMPLES = [
  sample(0, "positive", 3),
  sample(1, "positive", -2, "ＡＢＣを買った"),
  sample(2, "negative", 0.5),
  sample(3, "negative", -4),
  sample(4, "positive", -0.1),
];
const FILTER: SampleFilter = { wrongOnly: false, label: "all", search: "", sort: "worst", threshold: 0 };
const indices = (filter: Partial<SampleFilter>) => selectSamples(SAMPLES, { ...FILTER, ...filter }).map((s) => s.index);

describe("selectSamples", () => {
  it("puts the worst mistakes first", () => {
    expect(indices({})).toEqual([1, 2, 4, 0, 3]);
    expect(indices({ wrongOnly: true })).toEqual([1, 2, 4]);
  });
  it("sorts by reward both ways and back", () => {
    expect(indices({ sort: "high" })).toEqual([0, 2, 4, 1, 3]);
    expect(indices({ sort: "low" })).toEqual([3, 1, 4, 2, 0]);
    expect(indices({ sort: "original" })).toEqual([0, 1, 2, 3, 4]);
  });
  it("filters by label and by text, whatever the width of its letters", () => {
    expect(indices({ label: "negative", sort: "original" })).toEqual([2, 3]);
    expect(indices({ search: "abc" })).toEqual([1]);
  });
  it("moves with the threshold", () => {
    expect(indices({ wrongOnly: true, threshold: 1, sort: "original" })).toEqual([1, 4]);
    expect(indices({ wrongOnly: true, threshold: -1, sort: "original" })).toEqual([1, 2]);
  });
  it("shows a missing reward as a mistake, first", () => {
    const broken = sample(9, "negative", null);
    expect(isWrong(broken, 0)).toBe(true);
    expect(selectSamples([...SAMPLES, broken], FILTER)[0]?.index).toBe(9);
  });
  it("leaves its input alone", () => {
    const before = SAMPLES.map((s) => s.index);
    indices({ sort: "low" });
    expect(SAMPLES.map((s) => s.index)).toEqual(before);
  });
});

describe("distribution", () => {
  it("counts every finite reward once, the largest one too", () => {
    const bins = distribution([...SAMPLES, sample(5, "positive", null)], 7);
    expect(bins).toHaveLength(7);
    expect(bins.reduce((sum, bin) => sum + (bin.counts[0] ?? 0), 0)).toBe(2);
    expect(bins.reduce((sum, bin) => sum + (bin.counts[1] ?? 0), 0)).toBe(3);
    expect(bins[6]?.counts[1]).toBe(1);
  });
  it("copes with one value and with none", () => {
    expect(distribution([sample(0, "positive", 2)], 4)[0]?.counts).toEqual([0, 1]);
    expect(distribution([], 4)).toEqual([]);
  });
});

describe("meanReward", () => {
  it("averages one label", () => {
    expect(meanReward(SAMPLES, "negative")).toBeCloseTo(-1.75, 12);
    expect(meanReward([], "negative")).toBeNull();
  });
});
