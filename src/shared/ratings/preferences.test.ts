import { describe, expect, it } from "vitest";
import { preferencePair } from "../protocol/artefact";
import type { Vote } from "../protocol/rating";
import { holdOut, pairLines, pairsFromVotes } from "./preferences";
import { compareJudges, decidedPairs } from "./reward-comparison";
import { prefers, scriptedSession, scriptedVotes } from "./scripted-session";

const session = scriptedSession({ count: 4 });
const vote = (rater: string, item: number, choice: Vote["choice"]): Vote => ({
  rater,
  item,
  left: "sft-secret",
  right: "ppo-secret",
  choice,
  ms: 1,
});
const textOf = (item: number, model: string): string =>
  session.items.find((one) => one.item === item)?.texts.find((text) => text.model === model)?.text ?? "";

describe("pairsFromVotes", () => {
  const votes = [
    vote("a", 1, "left"),
    vote("b", 1, "left"),
    vote("c", 1, "right"),
    vote("a", 2, "tie"),
    vote("b", 2, "right"),
    vote("a", 3, "skip"),
    vote("a", 4, "both_bad"),
    // A repeat: shown, never counted.
    vote("a", 2, "right"),
  ];

  it("makes one pair of each decided item", () => {
    const { pairs, held_out, unusable } = pairsFromVotes(session, votes, "majority", 0);
    expect(pairs).toEqual([
      { prompt: "書き出し0", chosen: textOf(1, "sft-secret"), rejected: textOf(1, "ppo-secret") },
    ]);
    expect([held_out, unusable]).toEqual([[], 0]);
    for (const line of pairLines(pairs).trimEnd().split("\n")) preferencePair.parse(JSON.parse(line));
  });

  it("makes one pair of each vote for a side", () => {
    const { pairs } = pairsFromVotes(session, votes, "vote", 0);
    expect(pairs.map(({ chosen }) => chosen)).toEqual([
      textOf(1, "sft-secret"),
      textOf(1, "sft-secret"),
      textOf(1, "ppo-secret"),
      textOf(2, "ppo-secret"),
    ]);
  });

  it("leaves out pairs that nothing can be learnt from", () => {
    const items = session.items.map((item) => ({
      ...item,
      texts: item.texts.map((text) => (item.item === 1 ? { ...text, text: "同じ" } : text)),
    }));
    expect(pairsFromVotes({ ...session, items }, votes, "majority", 0)).toMatchObject({ pairs: [], unusable: 1 });
  });

  it("keeps a share of the voted items back, always the same and never in a pair", () => {
    const many = scriptedSession({ count: 50 });
    const cast = scriptedVotes(many, { a: prefers("ppo-secret"), b: prefers("ppo-secret") });
    const { pairs, held_out } = pairsFromVotes(many, cast, "vote", 0.2);
    expect(held_out).toEqual(holdOut(many, [...cast].reverse(), 0.2));
    expect(held_out).toHaveLength(10);
    const prompts = new Set(pairs.map(({ prompt }) => prompt));
    for (const id of held_out) expect(prompts.has(`書き出し${Number(id) - 1}`), id).toBe(false);
    const decided = decidedPairs(many, cast, held_out);
    expect(decided.length).toBeGreaterThan(0);
    expect(decided.every(({ item }) => held_out.includes(item))).toBe(true);
  });
});

describe("compareJudges", () => {
  it("counts who is right, and tests only where the two differ", () => {
    const right = [1, 0] as const;
    const wrong = [0, 1] as const;
    const same = [1, 1] as const;
    const found = compareJudges([right, wrong, wrong, wrong, same], [right, right, right, wrong, right]);
    expect(found.before).toMatchObject({ agreed: 1, compared: 5, share: 0.2 });
    expect(found.after).toMatchObject({ agreed: 4, compared: 5, share: 0.8 });
    expect([found.only_before, found.only_after]).toEqual([0, 3]);
    // 2 * 0.5^3: scipy.stats.binomtest(3, 3).pvalue
    if (!(Math.abs((found.p ?? 9) - 0.25) <= 1e-12)) expect.fail(`p = ${found.p}`);
    expect(compareJudges([right], [right]).p).toBeNull();
    expect(compareJudges([], []).after.share).toBeNull();
    expect(() => compareJudges([right], [])).toThrow(RangeError);
  });
});
