import { describe, expect, it } from "vitest";
import cases from "../stats/fixtures/ratings.json";
import { Random } from "../stats/random";
import { type JudgedItem, outliers, rewardAgainstPeople } from "./reward-against-people";

const item = (name: string, counts: JudgedItem["counts"], a: number | null, b: number | null): JudgedItem => ({
  item: name,
  counts,
  reward_a: a,
  reward_b: b,
});

describe("rewardAgainstPeople", () => {
  const evening = [
    item("1", [0, 3, 0], 1, 2),
    item("2", [3, 0, 0], 1, 1.5),
    item("3", [5, 0, 0], -6, 8),
    item("4", [1, 3, 0], 0, 3),
    item("5", [1, 1, 1], 0, 9),
    item("6", [0, 2, 0], 4, 4),
    item("no votes", [0, 0, 0], 0, 1),
    item("no reward", [0, 1, 0], 0, null),
    item("broken", [0, 1, 0], Number.NaN, 2),
  ];

  it("counts agreement over decided items with different rewards", () => {
    const found = rewardAgainstPeople(evening);
    expect(found).toMatchObject({ items: 6, compared: 4, agreed: 2, agreement: 0.5 });
    expect(found.agreement_p).toBeCloseTo(1, 12);
    expect(found.agreement_exact95?.low).toBeCloseTo(0.0676, 4);
  });

  it("puts the worst disagreement first: the walk-through's ID 3", () => {
    const { disagreements } = rewardAgainstPeople(evening);
    expect(disagreements.map(({ item }) => item)).toEqual(["3", "2"]);
    // Differences 0 0.5 1 3 9 14: the median is 2.
    expect(disagreements[0]).toEqual({ item: "3", difference: 14, share_b: 0, size: 7 });
  });

  it("has scipy's rank correlations", () => {
    for (const { people, difference, spearman, kendall } of cases.rewards) {
      // Ten votes an item make the fixture's shares.
      const judged = people.map((share, at) => {
        const b = Math.round(share * 10);
        return item(String(at), [10 - b, b, 0], 1, 1 + (difference[at] ?? 0));
      });
      const found = rewardAgainstPeople(judged);
      expect(found.spearman).toBeCloseTo(spearman, 10);
      expect(found.kendall).toBeCloseTo(kendall, 10);
    }
  });

  it("calibrates by size of the difference: people who vote as the sigmoid says lie on the diagonal", () => {
    const random = Random.seeded(2);
    const judged = Array.from({ length: 4000 }, (_, at) => {
      const difference = 3 * random.normal();
      const votes = 9;
      let b = 0;
      for (let vote = 0; vote < votes; vote++) if (random.uniform() < 1 / (1 + Math.exp(-difference))) b++;
      return item(String(at), [votes - b, b, 0], 0, difference);
    });
    const { calibration } = rewardAgainstPeople(judged, 8);
    expect(calibration).toHaveLength(8);
    for (const [at, { low, high, items, predicted, observed }] of calibration.entries()) {
      expect(items).toBe(500);
      expect(low).toBeLessThanOrEqual(high);
      if (at > 0) expect(low).toBeGreaterThanOrEqual(calibration[at - 1]?.high ?? Number.NaN);
      // Five standard deviations of 4500 votes.
      expect(Math.abs(predicted - observed)).toBeLessThan(0.038);
    }
    expect(rewardAgainstPeople(judged.slice(0, 3), 8).calibration.map(({ items }) => items)).toEqual([1, 1, 1]);
  });

  it("mirrors with the models and does not mind an offset", () => {
    const found = rewardAgainstPeople(evening);
    const swapped = evening.map(({ item: name, counts: [a, b, tie], reward_a, reward_b }) =>
      item(name, [b, a, tie], reward_b, reward_a),
    );
    const { disagreements, ...figures } = rewardAgainstPeople(swapped);
    const { disagreements: wanted, ...rest } = found;
    expect(figures).toEqual(rest);
    expect(disagreements.map(({ size }) => size)).toEqual(wanted.map(({ size }) => size));
    const shifted = evening.map((one) => ({
      ...one,
      reward_a: one.reward_a === null ? null : one.reward_a + 8,
      reward_b: one.reward_b === null ? null : one.reward_b + 8,
    }));
    expect(rewardAgainstPeople(shifted)).toEqual(found);
  });

  it("says nothing of nothing", () => {
    expect(rewardAgainstPeople([])).toEqual({
      items: 0,
      compared: 0,
      agreed: 0,
      agreement: null,
      agreement_exact95: null,
      agreement_p: null,
      spearman: null,
      kendall: null,
      calibration: [],
      disagreements: [],
    });
    expect(rewardAgainstPeople([item("1", [1, 0, 0], 2, 2)])).toMatchObject({
      compared: 0,
      calibration: [],
      disagreements: [],
    });
  });
});

describe("outliers", () => {
  it("has scipy's robust z", () => {
    for (const { difference, robust_z } of cases.rewards) {
      const all = outliers(difference, -1);
      expect(all).toHaveLength(difference.length);
      for (const { index, robust_z: z } of all) expect(z).toBeCloseTo(robust_z[index] ?? Number.NaN, 10);
    }
  });

  it("finds the one value that is far out, and none where most are equal", () => {
    expect(outliers([1, 2, 1.5, 2.5, -14, Number.NaN]).map(({ index }) => index)).toEqual([4]);
    expect(outliers([1, 1, 1, 9])).toEqual([]);
    expect(outliers([])).toEqual([]);
  });
});
