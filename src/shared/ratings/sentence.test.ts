import { describe, expect, it } from "vitest";
import type { Vote } from "../protocol/rating";
import { planSentence, SENTENCES, verdictSentence, verdictText } from "./sentence";
import { tallyVotes } from "./tally";
import { verdictOf } from "./verdict";

/** `a`, `b` and `ties` items with one vote each. */
function sentence(a: number, b: number, ties: number) {
  const votes = [...Array(a).fill("left"), ...Array(b).fill("right"), ...Array(ties).fill("tie")].map(
    (choice: Vote["choice"], item): Vote => ({ rater: "r", item, left: "PPO", right: "SFT", choice, ms: 1 }),
  );
  return verdictSentence(verdictOf(tallyVotes(votes)));
}

describe("the verdict in words", () => {
  it("the walk-through's 2 : 3: no win, and how many more items", () => {
    const found = sentence(2, 3, 0);
    // 199 decided items for 60 %, five are there.
    expect(found).toEqual({
      key: "ahead",
      values: { winner: "SFT", wins: 3, decided: 5, ties: 0, share: 0.6, p: 1, more: 194 },
    });
    expect(verdictText(found, "en")).toContain("ahead on 3 of 5 decided items (60 %; 0 ties), but that is no win yet");
    expect(verdictText(found, "en")).toContain("in 100 % of such comparisons");
    expect(verdictText(found, "en")).toContain("about 194 more items");
    expect(verdictText(found, "ja")).toContain("あと約 194 件");
  });

  it("counts ties into the items that are still needed", () => {
    expect(sentence(2, 3, 5).values).toMatchObject({ decided: 5, ties: 5, more: 388 });
  });

  it("a win, with how sure it is", () => {
    const found = sentence(18, 2, 3);
    expect(found).toMatchObject({ key: "won", values: { winner: "PPO", wins: 18, decided: 20, ties: 3, share: 0.9 } });
    expect(verdictText(found, "en")).toMatch(
      /“PPO” won: people preferred it on 18 of 20 .*\(90 %; 3 ties\).* in 0\.040 % /,
    );
    expect(verdictText(sentence(60, 0, 0), "ja")).toContain("0.01% 未満");
  });

  it("does not call 50.1 % a half", () => {
    const values = { winner: "A", wins: 501, decided: 1000, ties: 0, share: 0.501, p: 0.97, more: 1_961_509 };
    expect(verdictText({ key: "ahead", values }, "en")).toContain(
      "If 50.10 % is the truth, about 1,961,509 more items",
    );
  });

  it("even, and nothing but ties", () => {
    expect(sentence(4, 4, 1)).toEqual({ key: "even", values: { a: "PPO", b: "SFT", wins: 4, ties: 1 } });
    expect(sentence(0, 0, 3)).toEqual({ key: "all_ties", values: { items: 3, a: "PPO", b: "SFT" } });
  });

  it("always asks for one more item at least", () => {
    for (let b = 1; b <= 16; b++)
      for (let a = 0; a < b; a++) {
        const found = sentence(a, b, 0);
        if (found.key === "ahead") expect(found.values.more).toBeGreaterThanOrEqual(1);
        else expect(found.key).toBe("won");
      }
  });
});

describe("before the votes", () => {
  it("five items at 60 % say nothing", () => {
    const found = planSentence(5);
    expect(found).toMatchObject({ key: "plan_hopeless", values: { items: 5, needed: 199, p: 0.0625 } });
    expect(verdictText(found, "ja")).toContain("5 件では何も決まりません");
    expect(verdictText(found, "en")).toContain("takes 199 decided items");
    expect(planSentence(0).key).toBe("plan_hopeless");
  });

  it("a few are weak, many are enough", () => {
    expect(planSentence(20)).toMatchObject({ key: "plan_weak", values: { needed: 199 } });
    expect(verdictText(planSentence(20), "en")).toContain("the chance to recognise it is 13 %");
    expect(planSentence(199).key).toBe("plan_enough");
    expect(planSentence(20, 0.9).key).toBe("plan_enough");
  });
});

describe("texts", () => {
  it("fill the same places in both languages", () => {
    const places = (text: string) => [...text.matchAll(/\{(\w+)[%~]?\}/g)].map(([place]) => place).sort();
    for (const [key, text] of Object.entries(SENTENCES.ja)) {
      const english = Object.entries(SENTENCES.en).find(([other]) => other === key)?.[1] ?? "";
      expect(new Set(places(english)), key).toEqual(new Set(places(text)));
    }
  });

  it("leave no place open", () => {
    const all = [
      sentence(2, 3, 0),
      sentence(9, 0, 0),
      sentence(1, 1, 0),
      sentence(0, 0, 1),
      planSentence(3),
      planSentence(30),
      planSentence(300),
    ];
    expect(new Set(all.map(({ key }) => key)).size).toBe(Object.keys(SENTENCES.en).length);
    for (const one of all)
      for (const language of ["ja", "en"] as const)
        expect(verdictText(one, language)).not.toMatch(/[{}–]|NaN|undefined|Infinity/);
  });
});
