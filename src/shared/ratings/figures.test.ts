import { describe, expect, it } from "vitest";
import type { RatingSession, Vote } from "../protocol/rating";
import { Random } from "../stats/random";
import { overview, pairFigures } from "./figures";
import { selectVerdictRows, verdictTable } from "./rows";
import { alwaysLeft, type Habit, prefers, scriptedSession, scriptedVotes } from "./scripted-session";
import { tallyVotes } from "./tally";
import { verdictOf } from "./verdict";

const PAIR = ["sft-secret", "ppo-secret"] as const;
const RATERS = { 花子: prefers("ppo-secret"), 太郎: prefers("ppo-secret"), 次郎: prefers("sft-secret") };
const turned = { left: "right", right: "left", tie: "tie", both_bad: "both_bad", skip: "skip" } as const;

/** The same votes with the two texts exchanged on the screen. */
const exchanged = (votes: readonly Vote[]): Vote[] =>
  votes.map((vote) => ({ ...vote, left: vote.right, right: vote.left, choice: turned[vote.choice] }));

/** Everything but what depends on names of raters and on the order in which votes stand. */
function figuresOf(session: RatingSession, votes: readonly Vote[]) {
  const figures = pairFigures({ session, votes, pair: PAIR, draws: 50 });
  if (figures === null) throw new Error("no votes");
  const { verdict, length, consistency, side, raters, leverage, rewards, skipped } = figures;
  const sorted = <T>(list: readonly T[]): T[] =>
    [...list].sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
  return {
    verdict,
    length,
    consistency,
    side,
    skipped,
    raters: sorted(raters.map(({ rater: _, ...rest }) => rest)),
    without: sorted(leverage.raters.map(({ without }) => without)),
    counts: [leverage.change_majority, leverage.change_leader, leverage.change_significance],
    rewards: rewards.map(({ people: { disagreements, ...people }, outliers }) => ({
      people,
      disagreements: sorted(disagreements),
      outliers: sorted(outliers.map(({ item, model, value }) => ({ item, model, value }))),
    })),
  };
}

function expectAlike(found: unknown, wanted: unknown, path = ""): void {
  if (typeof found === "number" && typeof wanted === "number") {
    if (!(Math.abs(found - wanted) <= 1e-9)) expect.fail(`${path}: ${found} is not ${wanted}`);
  } else if (typeof found === "object" && found !== null && typeof wanted === "object" && wanted !== null) {
    expect(Object.keys(found), path).toEqual(Object.keys(wanted));
    const expected = new Map(Object.entries(wanted));
    for (const [key, value] of Object.entries(found)) expectAlike(value, expected.get(key), `${path}.${key}`);
  } else expect(found, path).toBe(wanted);
}

describe("pairFigures", () => {
  const session = scriptedSession({ count: 30, repeats: 6 });

  it("gives the command line's verdict, and null without votes", () => {
    const votes = scriptedVotes(session, RATERS);
    expect(pairFigures({ session, votes, pair: PAIR, draws: 10 })?.verdict).toEqual(verdictOf(tallyVotes(votes)));
    expect(pairFigures({ session, votes: [], pair: PAIR })).toBeNull();
  });

  it("changes no figure but the side's when sides are exchanged", () => {
    for (let seed = 0; seed < 8; seed++) {
      const votes = scriptedVotes(session, RATERS, seed);
      const [found, wanted] = [figuresOf(session, exchanged(votes)), figuresOf(session, votes)];
      const { left_rate, left_bias_p, ...verdict } = found.verdict;
      const { left_rate: rate, left_bias_p: p, ...before } = wanted.verdict;
      expect(verdict).toEqual(before);
      if (!(Math.abs((left_rate ?? 9) + (rate ?? 9) - 1) <= 1e-12)) expect.fail(`${left_rate} and ${rate}`);
      expectAlike(left_bias_p, p);
      for (const key of ["length", "consistency", "rewards", "without", "counts", "skipped"] as const)
        expectAlike(found[key], wanted[key], key);
    }
  });

  it("changes no figure when raters and items are named and ordered anew", () => {
    const random = Random.seeded(3);
    const votes = scriptedVotes(session, RATERS);
    const wanted = figuresOf(session, votes);
    for (let trial = 0; trial < 8; trial++) {
      const names = random.shuffle(["x", "y", "z"]);
      const known = Object.keys(RATERS);
      // A rater's own order stays: the first vote on an item is the one that counts.
      const byRater = random.shuffle(known.map((rater) => votes.filter((vote) => vote.rater === rater)));
      const renamed = byRater
        .flat()
        .map((vote) => ({ ...vote, rater: names[known.indexOf(String(vote.rater))] ?? "" }));
      const shuffled = { ...session, items: random.shuffle([...session.items]) };
      expectAlike(figuresOf(shuffled, renamed), wanted);
    }
  });

  it("shows somebody who always presses 1 as side bias, not as a winner", () => {
    const many = scriptedSession({ count: 200, repeats: 20 });
    const figures = pairFigures({
      session: many,
      votes: scriptedVotes(many, { 常: alwaysLeft }),
      pair: PAIR,
      draws: 200,
    });
    expect(figures?.verdict.wins).toEqual({ A: 100, B: 100, tie: 0 });
    expect(figures?.verdict.sign_test_p).toBe(1);
    expect(figures?.side.rate).toBe(1);
    if (!((figures?.side.p ?? 1) < 1e-20)) expect.fail(`p = ${figures?.side.p}`);
    // Repeats come with exchanged sides: a rater of sides contradicts themself every time.
    expect(figures?.consistency).toMatchObject({ repeats: 20, same: 0 });
    const interval = figures?.over_prompts;
    if (!((interval?.low ?? 1) < 0.5 && (interval?.high ?? 0) > 0.5)) expect.fail(JSON.stringify(interval));
  });

  it("finds the text whose reward is out of line", () => {
    const base = scriptedSession({ count: 30 });
    const items = base.items.map((item) => ({
      ...item,
      texts: item.texts.map((text, at) => ({
        ...text,
        rewards: { judge: item.item === 3 && at === 0 ? 40 : (text.rewards.judge ?? 0) },
      })),
    }));
    const odd = { ...base, items };
    const figures = pairFigures({ session: odd, votes: scriptedVotes(odd, RATERS), pair: PAIR, draws: 10 });
    expect(figures?.rewards[0]?.outliers.map(({ item, model }) => [item, model])).toEqual([
      ["3", "sft-secret"],
      ["3", null],
    ]);
  });
});

describe("overview", () => {
  it("has every pair of 5 raters on 200 items by 4 models, and strengths in the order of the habits", () => {
    const models = ["a", "b", "c", "d"];
    const session = scriptedSession({ count: 200, models, pairs_per_item: 6 });
    const rank: Habit = (left, right) => (left > right ? "left" : "right");
    const habits = { 一: rank, 二: rank, 三: alwaysLeft, 四: rank, 五: alwaysLeft };
    const votes = scriptedVotes(session, habits);
    expect(votes).toHaveLength(5 * 200 * 6);
    const found = overview({ session, votes, draws: 20 });
    expect(found.pairs).toHaveLength(6);
    expect(found.pairs.every(({ verdict }) => verdict.items === 200)).toBe(true);
    if (found.strengths?.kind !== "fitted") throw new Error("no strengths");
    const logs = found.strengths.strengths.map(({ log_strength }) => log_strength);
    expect([...logs].sort((one, other) => one - other)).toEqual(logs);
  });

  it("has no strengths for two models", () => {
    const session = scriptedSession();
    expect(overview({ session, votes: scriptedVotes(session, RATERS), draws: 10 }).strengths).toBeNull();
  });
});

describe("verdictTable", () => {
  const session = scriptedSession({ count: 20, repeats: 4 });
  const votes = scriptedVotes(session, RATERS);
  const table = verdictTable(session, votes, PAIR);

  it("counts as the verdict does", () => {
    const verdict = verdictOf(tallyVotes(votes));
    const won = (outcome: number) => table.rows.filter(({ majority }) => majority === outcome).length;
    expect({ A: won(0), B: won(1) }).toEqual({ A: verdict.wins.A, B: verdict.wins.B });
    const counted = table.rows.reduce((sum, { counts: [a, b, tie] }) => sum + a + b + tie, 0);
    expect(counted).toBe(verdict.votes);
    expect(table.models).toEqual(["ppo-secret", "sft-secret"]);
    expect(table.rows).toHaveLength(20);
  });

  it("is sorted both ways, rows without a value last, and filtered", () => {
    const all = { show: "all", search: "", reward: "judge" } as const;
    const down = selectVerdictRows(table, {
      ...all,
      sort: { by: "reward", reward: "judge", side: 1 },
      descending: true,
    });
    const values = down.map((row) => row.rewards.judge?.[1] ?? Number.NaN);
    expect(values).toEqual([...values].sort((one, other) => other - one));
    const unvoted = verdictTable(
      session,
      votes.filter(({ item }) => item !== 5),
      PAIR,
    );
    for (const descending of [true, false])
      expect(selectVerdictRows(unvoted, { ...all, sort: { by: "share" }, descending }).at(-1)?.item).toBe("5");
    const none = selectVerdictRows(unvoted, { ...all, show: "none", sort: { by: "item" }, descending: false });
    expect(none.map(({ item }) => item)).toEqual(["5"]);
    const found = selectVerdictRows(table, { ...all, search: "書き出し7", sort: { by: "item" }, descending: false });
    expect(found.map(({ item }) => item)).toEqual(["8"]);
    for (const row of selectVerdictRows(table, { ...all, show: "conflict", sort: { by: "item" }, descending: false })) {
      const [a = null, b = null] = row.rewards.judge ?? [];
      const share = (row.counts[1] + row.counts[2] / 2) / (row.counts[0] + row.counts[1] + row.counts[2]);
      expect(((b ?? 0) - (a ?? 0)) * (share - 0.5)).toBeLessThan(0);
    }
  });
});
