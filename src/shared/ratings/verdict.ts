/** The verdict over two models: the figures of docs/verdict.md, which is also where every convention stands. */
import { fleissKappa, krippendorffAlpha } from "../stats/agreement";
import { exactInterval, type Interval, signTest, wilsonInterval } from "../stats/binomial";
import { itemsFor80Power } from "../stats/power";
import { A, B, type Ballot, majority, type Tally, TIE } from "./tally";

type Bounds = readonly [low: number, high: number];

/** Keys and meanings are those that `nagi verdict` prints. What is not defined is null; nothing is ever NaN. */
export interface Verdict {
  readonly items: number;
  /** Counted votes: no skips, no repeats. */
  readonly votes: number;
  /** [A, B] in alphabetical order. */
  readonly models: readonly [string, string];
  /** Majorities of the items. */
  readonly wins: { readonly A: number; readonly B: number; readonly tie: number };
  /** (wins of B + ties / 2) / items. */
  readonly win_rate_b: number;
  /** B's share of the decided items: 95 % by Clopper and Pearson, and by Wilson. */
  readonly decided_b_exact95: Bounds | null;
  readonly decided_b_wilson95: Bounds | null;
  readonly sign_test_p: number | null;
  readonly fleiss_kappa: number | null;
  readonly krippendorff_alpha: number | null;
  /** Share of left among the votes for a side. */
  readonly left_rate: number | null;
  readonly left_bias_p: number | null;
  readonly items_for_80_power: number | null;
}

const bounds = (interval: Interval | null): Bounds | null => interval && [interval.low, interval.high];

export function verdictOf(tally: Tally): Verdict {
  const { models, items, raters, ballots, counts } = tally;
  const wins = [0, 0, 0];
  for (const row of counts) {
    const winner = majority(row);
    wins[winner] = (wins[winner] ?? 0) + 1;
  }
  const [a = 0, b = 0, tie = 0] = wins;
  const decided = a + b;
  const { rate, p } = sideBias(ballots);
  return {
    items: items.length,
    votes: ballots.length,
    models,
    wins: { A: a, B: b, tie },
    win_rate_b: (b + tie / 2) / items.length,
    decided_b_exact95: bounds(exactInterval(b, decided)),
    decided_b_wilson95: bounds(wilsonInterval(b, decided)),
    sign_test_p: signTest(b, decided),
    fleiss_kappa: fleissKappa(counts.filter((row) => row[A] + row[B] + row[TIE] === raters.length)),
    krippendorff_alpha: krippendorffAlpha(counts),
    left_rate: rate,
    left_bias_p: p,
    // Half of the decided items is no preference, however the share rounds.
    items_for_80_power: decided === 0 || a === b ? null : itemsFor80Power(b / decided),
  };
}

export interface SideBias {
  /** Votes for the left side, and for either side. */
  readonly left: number;
  readonly sided: number;
  readonly rate: number | null;
  /** Two-sided exact binomial test of `left` of `sided` against one half. */
  readonly p: number | null;
  readonly exact95: Interval | null;
}

/** Whether a side was preferred, whatever stood on it. */
export function sideBias(ballots: readonly Pick<Ballot, "side">[]): SideBias {
  let [left, sided] = [0, 0];
  for (const { side } of ballots) {
    if (side !== null) sided++;
    if (side === "left") left++;
  }
  return {
    left,
    sided,
    rate: sided === 0 ? null : left / sided,
    p: signTest(left, sided),
    exact95: exactInterval(left, sided),
  };
}
