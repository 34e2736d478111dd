import { describe, expect, it } from "vitest";
import type { Vote } from "../protocol/rating";
import { Random } from "../stats/random";
import { raterFigures, selfConsistency } from "./consistency";
import { leverage } from "./leverage";
import { tallyVotes } from "./tally";
import { verdictOf } from "./verdict";

function randomVotes(random: Random, raters: number, items: number): Vote[] {
  const choices = ["left", "left", "left", "right", "tie", "skip"] as const;
  return Array.from({ length: raters * items }, (_, at) => ({
    rater: `r${at % raters}`,
    item: Math.floor(at / raters),
    left: random.below(4) ? "a" : "b",
    right: "",
    choice: choices[random.below(choices.length)] ?? "skip",
    ms: 1,
  })).map((vote) => ({ ...vote, right: vote.left === "a" ? "b" : "a" }));
}

/** The verdict of votes over items that are named by skips, so that taking a vote out takes no item out. */
function without(votes: readonly Vote[], keep: (vote: Vote, at: number) => boolean) {
  return verdictOf(tallyVotes(votes.map((vote, at) => (keep(vote, at) ? vote : { ...vote, choice: "skip" as const }))));
}

describe("leverage", () => {
  it("says what really happens when a vote or a rater is taken out", () => {
    const random = Random.seeded(12);
    for (let trial = 0; trial < 30; trial++) {
      const votes = randomVotes(random, 1 + random.below(4), 3 + random.below(9));
      const tally = tallyVotes(votes);
      const found = leverage(tally);
      const now = verdictOf(tally);
      const leaderOf = ({ wins }: typeof now) => (wins.A === wins.B ? null : wins.A > wins.B ? "A" : "B");
      const significant = ({ sign_test_p }: typeof now) => sign_test_p !== null && sign_test_p < 0.05;
      expect(found.standing).toMatchObject({ leader: leaderOf(now), win_rate_b: now.win_rate_b });
      let [majorities, leaders, significances] = [0, 0, 0];
      for (const [at, vote] of votes.entries()) {
        if (vote.choice === "skip") continue;
        const then = without(votes, (_, other) => other !== at);
        if (JSON.stringify(then.wins) !== JSON.stringify(now.wins)) majorities++;
        if (leaderOf(then) !== leaderOf(now)) leaders++;
        if (significant(then) !== significant(now)) significances++;
      }
      expect(found).toMatchObject({
        change_majority: majorities,
        change_leader: leaders,
        change_significance: significances,
      });
      for (const { rater, without: standing } of found.raters) {
        const then = without(votes, (vote) => vote.rater !== rater);
        expect(standing.win_rate_b).toBeCloseTo(then.win_rate_b, 12);
        expect(standing.sign_test_p).toBe(then.sign_test_p);
        expect(standing.leader).toBe(leaderOf(then));
      }
    }
  });

  it("finds the vote that a 2 : 3 hangs on", () => {
    const vote = (item: number, rater: string, choice: Vote["choice"]): Vote => ({
      rater,
      item,
      left: "a",
      right: "b",
      choice,
      ms: 1,
    });
    const votes = [1, 2, 3, 4, 5].flatMap((item) => [
      vote(item, "x", item > 2 ? "right" : "left"),
      vote(item, "y", item > 2 ? "right" : "left"),
    ]);
    expect(leverage(tallyVotes(votes))).toMatchObject({ change_majority: 0, change_leader: 0, votes: [] });
    const found = leverage(tallyVotes(votes.filter(({ item, rater }) => item !== 5 || rater === "x")));
    expect(found).toMatchObject({ standing: { leader: "B" }, change_majority: 1, change_leader: 1 });
    expect(found.votes).toMatchObject([{ item: 4, outcome: 1, votes: 1, without: { leader: null, win_rate_b: 0.5 } }]);
  });

  it("sorts by the shift of the win rate", () => {
    const random = Random.seeded(3);
    const { votes, standing } = leverage(tallyVotes(randomVotes(random, 2, 40)));
    const shifts = votes.map(({ without }) => Math.abs((without.win_rate_b ?? 0) - (standing.win_rate_b ?? 0)));
    expect(shifts).toEqual([...shifts].sort((one, other) => other - one));
    expect(votes.length).toBeGreaterThan(5);
  });
});

describe("raters", () => {
  it("agree with themselves, and press sides, one by one", () => {
    const vote = (rater: string, item: number, choice: Vote["choice"], swapped = false): Vote => ({
      rater,
      item,
      left: swapped ? "b" : "a",
      right: swapped ? "a" : "b",
      choice,
      ms: 1,
    });
    const tally = tallyVotes([
      ...[1, 2, 3].map((item) => vote("left-presser", item, "left")),
      ...[1, 2, 3].map((item) => vote("left-presser", item, "left", true)),
      ...[1, 2, 3].map((item) => vote("steady", item, item === 2 ? "tie" : "right")),
      ...[1, 2].map((item) => vote("steady", item, item === 2 ? "both_bad" : "left", true)),
    ]);
    expect(raterFigures(tally)).toMatchObject([
      { rater: "left-presser", votes: 3, consistency: { repeats: 3, same: 0, share: 0 }, side: { left: 3, sided: 3 } },
      { rater: "steady", votes: 3, consistency: { repeats: 2, same: 2, share: 1 }, side: { left: 0, sided: 2 } },
    ]);
    expect(selfConsistency([])).toEqual({ repeats: 0, same: 0, share: null, exact95: null });
    expect(selfConsistency(tally.repeats).exact95?.low).toBeGreaterThan(0);
  });
});
