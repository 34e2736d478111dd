import { describe, expect, it } from "vitest";
import type { Vote } from "../protocol/rating";
import { bradleyTerry } from "../stats/bradley-terry";
import { Random } from "../stats/random";
import { pairWins, votesOfPair } from "./pairs";
import { tallyVotes } from "./tally";
import { verdictOf } from "./verdict";

const vote = (item: number, left: string, right: string, choice: Vote["choice"], rater = "r"): Vote => ({
  rater,
  item,
  left,
  right,
  choice,
  ms: 1,
});

describe("pairWins", () => {
  const votes = [
    vote(1, "sft", "ppo", "right"),
    vote(1, "ppo", "sft", "left", "q"),
    vote(1, "dpo", "ppo", "tie"),
    vote(1, "dpo", "sft", "left"),
    vote(2, "dpo", "sft", "both_bad"),
    vote(2, "ppo", "sft", "skip"),
    // Repeats: these two have voted on item 1 and this pair before.
    vote(1, "ppo", "sft", "right"),
    vote(1, "ppo", "dpo", "right"),
  ];

  it("counts each pair once a rater and item, ties half", () => {
    expect(pairWins(votes)).toEqual({
      models: ["dpo", "ppo", "sft"],
      wins: [
        [0, 0.5, 1.5],
        [0.5, 0, 2],
        [0.5, 0, 0],
      ],
    });
  });

  it("takes out one pair for its own verdict", () => {
    expect(verdictOf(tallyVotes(votesOfPair(votes, "sft", "ppo")))).toMatchObject({
      models: ["ppo", "sft"],
      items: 2,
      votes: 2,
      wins: { A: 1, B: 0, tie: 1 },
    });
  });

  it("gives strengths back that votes were drawn from, whatever the sides", () => {
    const random = Random.seeded(21);
    const names = ["base", "sft", "ppo", "dpo"];
    const strengths = [-1, -0.2, 0.9, 0.3];
    const drawn = Array.from({ length: 6000 }, (_, item) => {
      const [left = 0, right = 0] = random.shuffle([0, 1, 2, 3]);
      const chance = 1 / (1 + Math.exp((strengths[right] ?? 0) - (strengths[left] ?? 0)));
      return vote(item, names[left] ?? "", names[right] ?? "", random.uniform() < chance ? "left" : "right");
    });
    const { models, wins } = pairWins(drawn);
    const result = bradleyTerry(wins);
    if (result.kind !== "fitted") throw new Error(result.reason);
    for (const [at, { log_strength, standard_error }] of result.strengths.entries()) {
      const wanted = strengths[names.indexOf(models[at] ?? "")] ?? Number.NaN;
      expect(Math.abs(log_strength - wanted)).toBeLessThan(4 * standard_error);
      expect(standard_error).toBeLessThan(0.06);
    }
  });
});
