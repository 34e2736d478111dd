/** The statistics of ratings against scipy, statsmodels and krippendorff (workers/remote/nagi_worker/golden_ratings.py). */
import { describe, expect, it } from "vitest";
import { fleissKappa, krippendorffAlpha } from "./agreement";
import { binomialPmf, exactInterval, lowerTail, signTest, upperTail, wilsonInterval } from "./binomial";
import { bootstrapItems, bootstrapVotes, quantile } from "./bootstrap";
import { type BradleyTerry, bradleyTerry } from "./bradley-terry";
import { spearman } from "./correlation";
import cases from "./fixtures/ratings.json";
import { kendallTau } from "./kendall";
import { lengthControlled } from "./length-control";
import { criticalCount, itemsFor80Power, signTestPower } from "./power";
import { Random } from "./random";

function expectClose(found: number | null | undefined, wanted: number | null | undefined, tolerance = 1e-12): void {
  if (wanted === null || wanted === undefined) expect(found).toBeNull();
  else if (found == null || !(Math.abs(found - wanted) <= tolerance * Math.max(1, Math.abs(wanted))))
    expect.fail(`${found} is not ${wanted}`);
}

/** For numbers that may be tiny and still have to be right. */
function expectRatio(found: number, wanted: number, tolerance: number): void {
  if (!(Math.abs(found - wanted) <= tolerance * Math.abs(wanted))) expect.fail(`${found} is not ${wanted}`);
}

describe("binomial", () => {
  it.each(cases.shares.map((one) => ({ name: `${one.k} of ${one.n}`, one })))("$name", ({ one }) => {
    const { k, n } = one;
    const exact = exactInterval(k, n);
    const wilson = wilsonInterval(k, n);
    for (const [at, end] of (["low", "high"] as const).entries()) {
      expectRatio(exact?.[end] ?? Number.NaN, one.exact[at] ?? Number.NaN, 1e-10);
      expectRatio(wilson?.[end] ?? Number.NaN, one.wilson[at] ?? Number.NaN, 1e-11);
    }
    expectRatio(signTest(k, n) ?? Number.NaN, one.p, 1e-10);
    expectClose(lowerTail(k, n, 0.37), one.lower, 1e-11);
    expectClose(upperTail(k, n, 0.37), one.upper, 1e-11);
  });

  it("keeps relative accuracy far out in a tail, where libraries go wrong", () => {
    expectRatio(lowerTail(0, 100, 0.5), 0.5 ** 100, 1e-12);
    expectRatio(lowerTail(1, 100, 0.5), 101 * 0.5 ** 100, 1e-12);
    expectRatio(upperTail(99, 100, 0.5), 101 * 0.5 ** 100, 1e-12);
    expectRatio(lowerTail(1, 2, 0.37), 1 - 0.37 ** 2, 1e-15);
  });

  it("sums to one, tails meet", () => {
    for (const [n, p] of [
      [1, 0.5],
      [16, 0.9],
      [300, 0.013],
      [5000, 0.5],
    ] as const) {
      let sum = 0;
      for (let k = 0; k <= n; k++) {
        sum += binomialPmf(k, n, p);
        expectClose(lowerTail(k, n, p) + upperTail(k + 1, n, p), 1);
      }
      expectClose(sum, 1, 1e-11);
    }
  });

  it("covers the true share at least as often as it says, and mirrors", () => {
    for (const n of [1, 7, 40])
      for (const p of [0.01, 0.3, 0.5, 0.77]) {
        let covered = 0;
        for (let k = 0; k <= n; k++) {
          const interval = exactInterval(k, n);
          const mirrored = exactInterval(n - k, n);
          if (!interval || !mirrored) throw new Error("no interval");
          expectClose(interval.low, 1 - mirrored.high);
          if (interval.low <= p && p <= interval.high) covered += binomialPmf(k, n, p);
        }
        expect(covered).toBeGreaterThanOrEqual(0.95);
      }
  });

  it("says nothing about no items, refuses nonsense", () => {
    for (const figure of [signTest, exactInterval, wilsonInterval]) {
      expect(figure(0, 0)).toBeNull();
      expect(() => figure(3, 2)).toThrow(RangeError);
      expect(() => figure(0.5, 2)).toThrow(RangeError);
    }
  });
});

describe("power", () => {
  it.each(cases.power.needed)("$items items at $share", ({ share, items }) => {
    expect(itemsFor80Power(share)).toBe(items);
  });

  it("follows scipy's sawtooth", () => {
    for (const [at, power] of cases.power.curve.power.entries()) expectClose(signTestPower(at + 1, 0.6), power, 1e-11);
  });

  it("is the first number with 80 %, for any share", () => {
    const random = Random.seeded(8);
    for (let trial = 0; trial < 150; trial++) {
      const total = 1 + random.below(60);
      const share = random.below(total + 1) / total;
      const found = itemsFor80Power(share);
      if (2 * share === 1) expect(found).toBeNull();
      else {
        let first = 1;
        while (signTestPower(first, share) < 0.8) first++;
        expect(found).toBe(first);
      }
      expect(itemsFor80Power(1 - share)).toBe(found);
    }
  });

  it("finds numbers in the millions, where tails are carried along, right too", () => {
    const items = itemsFor80Power(0.5005) ?? Number.NaN;
    expect(Math.abs(items / (7.8489 / (4 * 0.0005 ** 2)) - 1)).toBeLessThan(1e-3);
    expect(signTestPower(items, 0.5005)).toBeGreaterThanOrEqual(0.8);
    for (let fewer = 1; fewer < 300; fewer++) expect(signTestPower(items - fewer, 0.5005)).toBeLessThan(0.8);
    expect(itemsFor80Power(0.50002)).toBeGreaterThan(4.9e9);
    expect(itemsFor80Power(0.5 + 1e-9)).toBeNull();
    expect(itemsFor80Power(Number.NaN)).toBeNull();
  });

  it("has the widest tails below 2.5 %", () => {
    for (let n = 1; n <= 400; n++) {
      const count = criticalCount(n);
      expect(lowerTail(count, n, 0.5)).toBeLessThanOrEqual(0.025);
      expect(lowerTail(count + 1, n, 0.5)).toBeGreaterThan(0.025);
    }
  });
});

describe("agreement", () => {
  it.each(cases.agreement.map((one) => ({ items: one.counts.length, one })))("$items items", ({ one }) => {
    const full = one.counts.filter((row) => row.reduce((sum, count) => sum + count, 0) === one.raters);
    expectClose(fleissKappa(full), one.fleiss);
    expectClose(krippendorffAlpha(one.counts), one.alpha);
  });

  it("does not depend on the order of items or categories", () => {
    const random = Random.seeded(4);
    for (const { counts } of cases.agreement) {
      const turned = random.shuffle(counts.map((row) => [...row].reverse()));
      expectClose(krippendorffAlpha(turned), krippendorffAlpha(counts) ?? Number.NaN);
    }
  });

  it("is 1 for agreement, null where chance cannot disagree", () => {
    const agreed = [
      [3, 0],
      [0, 3],
    ];
    expect([fleissKappa(agreed), krippendorffAlpha(agreed)]).toEqual([1, 1]);
    const alike = [
      [3, 0],
      [3, 0],
    ];
    expect([fleissKappa(alike), krippendorffAlpha(alike)]).toEqual([null, null]);
    const single = [
      [1, 0],
      [0, 1],
    ];
    expect([fleissKappa(single), krippendorffAlpha(single)]).toEqual([null, null]);
    expect([fleissKappa([]), krippendorffAlpha([])]).toEqual([null, null]);
    expect(() =>
      fleissKappa([
        [2, 0],
        [1, 0],
      ]),
    ).toThrow(RangeError);
  });
});

const fitted = (result: BradleyTerry) => {
  if (result.kind !== "fitted") throw new Error(`refused: ${result.reason}`);
  return result.strengths;
};

describe("Bradley-Terry", () => {
  it.each(cases.bradley_terry.map((one) => ({ models: one.wins.length, one })))("$models models", ({ one }) => {
    const strengths = fitted(bradleyTerry(one.wins));
    for (const [i, { log_strength, standard_error, interval95 }] of strengths.entries()) {
      const wanted = one.log_strength[i] ?? Number.NaN;
      expectClose(log_strength, wanted, 1e-9);
      expectClose(standard_error, one.standard_error[i] ?? Number.NaN, 1e-8);
      expectClose((interval95.high - interval95.low) / 2, 1.959963984540054 * standard_error);
    }
  });

  it("turns with the models", () => {
    const [, one] = cases.bradley_terry;
    const wins = one?.wins ?? [];
    const back = [...wins].reverse().map((row) => [...row].reverse());
    const strengths = fitted(bradleyTerry(wins));
    for (const [i, { log_strength }] of [...fitted(bradleyTerry(back))].reverse().entries())
      expectClose(log_strength, strengths[i]?.log_strength ?? Number.NaN, 1e-9);
  });

  it("refuses models that were never compared, and one that never lost", () => {
    const apart = [
      [0, 2, 0, 0],
      [1, 0, 0, 0],
      [0, 0, 0, 3],
      [0, 0, 1, 0],
    ];
    expect(bradleyTerry(apart)).toEqual({
      kind: "refused",
      reason: "unconnected",
      groups: [
        [0, 1],
        [2, 3],
      ],
    });
    const unbeaten = [
      [0, 2, 0],
      [1, 0, 0],
      [0, 4, 0],
    ];
    expect(bradleyTerry(unbeaten)).toEqual({ kind: "refused", reason: "unbeaten", groups: [[2], [0, 1]] });
    expect(
      bradleyTerry([
        [0, 3],
        [0.5, 0],
      ]).kind,
    ).toBe("fitted");
    expect(() => bradleyTerry([[0]])).toThrow(RangeError);
    expect(() => bradleyTerry([[0, 1], [1]])).toThrow(RangeError);
  });
});

describe("length-controlled win rate", () => {
  it.each(cases.length_control.map((one) => ({ items: one.scores.length, one })))("$items items", ({ one }) => {
    const found = lengthControlled(one.scores, one.differences);
    expectClose(found?.slope, one.slope, 1e-9);
    expectClose(found?.win_rate, one.win_rate, 1e-10);
    expectClose(found?.interval95.low, one.low, 1e-9);
    expectClose(found?.interval95.high, one.high, 1e-9);
  });

  it("is the win rate where all texts are equally long, and mirrors", () => {
    expectClose(lengthControlled([1, 1, 0, 0.5], [0, 0, 0, 0])?.win_rate, 0.625);
    expect(lengthControlled([1, 1, 0, 0.5], [0, 0, 0, 0])?.slope).toBeNull();
    const [one] = cases.length_control;
    if (!one) throw new Error("no case");
    const mirrored = lengthControlled(
      one.scores.map((score) => 1 - score),
      one.differences.map((value) => -value),
    );
    expectClose(mirrored?.win_rate, 1 - one.win_rate, 1e-10);
    expectClose(mirrored?.slope, one.slope, 1e-9);
  });

  it("gives nothing where a length explains everything, or nothing was lost", () => {
    expect(lengthControlled([], [])).toBeNull();
    expect(lengthControlled([1, 1, 1], [1, -2, 3])).toBeNull();
    expect(lengthControlled([0, 0, 1, 1], [-3, -1, 2, 4])).toBeNull();
    expect(lengthControlled([0, 0.5, 1, 1], [3, 1, 1, -4])).toBeNull();
    expect(lengthControlled([0, 1, 1], [7, 7, 7])).toBeNull();
    expect(() => lengthControlled([1], [])).toThrow(RangeError);
  });
});

describe("bootstrap", () => {
  const { scores, items95, counts, votes95, values, quantiles } = cases.bootstrap;
  const worth = ([a = 0, b = 0, tie = 0]: readonly number[]) => (a > b && a > tie ? 0 : b > a && b > tie ? 1 : 0.5);

  it("over prompts: scipy.stats.bootstrap's percentile interval, within a step of its grid", () => {
    const found = bootstrapItems(scores, { seed: 3 });
    expectClose(found?.low, items95[0], 1 / 120 + 1e-9);
    expectClose(found?.high, items95[1], 1 / 120 + 1e-9);
  });

  it("over votes: numpy's resampling of the same votes, within a step of its grid", () => {
    const found = bootstrapVotes(counts, worth, { seed: 3, draws: 4000 });
    expectClose(found?.low, votes95[0], 1 / 80 + 1e-9);
    expectClose(found?.high, votes95[1], 1 / 80 + 1e-9);
    expect(bootstrapVotes(counts, worth, { seed: 3, draws: 50 })).toEqual(
      bootstrapVotes(counts, worth, { seed: 3, draws: 50 }),
    );
    expect(bootstrapVotes([], worth, { seed: 3 })).toBeNull();
    // Unanimous votes leave nothing to chance.
    expect(
      bootstrapVotes(
        [
          [0, 5, 0],
          [4, 0, 0],
        ],
        worth,
        { seed: 1, draws: 20 },
      ),
    ).toEqual({ low: 0.5, high: 0.5 });
  });

  it("has numpy's quantiles", () => {
    const sorted = Float64Array.from(values).sort();
    for (const [at, share] of [0, 0.025, 0.31, 0.975, 1].entries())
      expectClose(quantile(sorted, share), quantiles[at] ?? Number.NaN);
  });
});

describe("rank correlation", () => {
  it.each(cases.rewards.map((one) => ({ items: one.people.length, one })))("$items items", ({ one }) => {
    expectClose(kendallTau(one.people, one.difference), one.kendall);
    expectClose(spearman(one.people, one.difference), one.spearman);
  });

  it("is null where there is no order", () => {
    expect(kendallTau([], [])).toBeNull();
    expect(kendallTau([1, 1], [1, 2])).toBeNull();
    expect(kendallTau([1, Number.NaN], [1, 2])).toBeNull();
    expect(() => kendallTau([1], [])).toThrow(RangeError);
  });
});
