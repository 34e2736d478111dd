import { describe, expect, it } from "vitest";
import { NagiError } from "../errors";
import type { Vote } from "../protocol/rating";
import cases from "../stats/fixtures/ratings.json";
import { Random } from "../stats/random";
import { countVotes, readVote } from "./read-votes";
import { byCodePoint, majority, tallyVotes } from "./tally";
import { sideBias, type Verdict, verdictOf } from "./verdict";

const KEYS = [
  "items",
  "votes",
  "models",
  "wins",
  "win_rate_b",
  "decided_b_exact95",
  "decided_b_wilson95",
  "sign_test_p",
  "fleiss_kappa",
  "krippendorff_alpha",
  "left_rate",
  "left_bias_p",
  "items_for_80_power",
];

/** Equal in structure and text, numbers within 1e-10. */
function expectAlike(found: unknown, wanted: unknown, path = ""): void {
  if (typeof found === "number" && typeof wanted === "number") {
    if (!(Math.abs(found - wanted) <= 1e-10)) expect.fail(`${path}: ${found} is not ${wanted}`);
  } else if (typeof found === "object" && found !== null && typeof wanted === "object" && wanted !== null) {
    expect(Object.keys(found), path).toEqual(Object.keys(wanted));
    const expected = new Map(Object.entries(wanted));
    for (const [key, value] of Object.entries(found)) expectAlike(value, expected.get(key), `${path}.${key}`);
  } else expect(found, path).toBe(wanted);
}

const votesOf = (at: number): Vote[] =>
  (cases.verdicts[at]?.votes ?? []).map((line) => readVote(JSON.stringify(line), "fixture", 1));
const verdictOfVotes = (votes: readonly Vote[]): Verdict => verdictOf(tallyVotes(votes));
const refusal = (run: () => unknown): NagiError => {
  try {
    run();
  } catch (error) {
    if (error instanceof NagiError) return error;
  }
  throw new Error("was accepted");
};

/** A vote with "sft" on the left. "ppo" comes first in the alphabet: A is "ppo", B is "sft". */
const one = (item: number, choice: Vote["choice"], over: Partial<Vote> = {}): Vote => ({
  rater: "花子",
  item,
  left: "sft",
  right: "ppo",
  choice,
  ms: 900,
  ...over,
});

describe("verdictOf", () => {
  it.each(cases.verdicts.map(({ votes, verdict }) => ({ name: `${votes.length} votes`, votes, verdict })))(
    "says what an independent computation in Python says: $name",
    ({ votes, verdict }) => {
      const found = verdictOfVotes(votes.map((line) => readVote(JSON.stringify(line), "f", 1)));
      expect(Object.keys(found)).toEqual(KEYS);
      expectAlike(found, verdict);
    },
  );

  it("does not change with the order of votes, the names of raters and items, or the sides", () => {
    const random = Random.seeded(5);
    for (const at of [0, 2]) {
      const votes = votesOf(at);
      const wanted = verdictOfVotes(votes);
      for (let trial = 0; trial < 20; trial++) {
        const raters = random.shuffle([...new Set(votes.map(({ rater }) => rater))]);
        const items = random.shuffle([...new Set(votes.map(({ item }) => item))]);
        const renamed = votes.map((vote) => ({
          ...vote,
          rater: `r${raters.indexOf(vote.rater)}`,
          item: items.indexOf(vote.item),
        }));
        expectAlike(verdictOfVotes(random.shuffle(renamed)), wanted);
        const swapped = votes.map((vote): Vote => {
          const choice = vote.choice === "left" ? "right" : vote.choice === "right" ? "left" : vote.choice;
          return random.below(2) === 0 ? vote : { ...vote, left: vote.right, right: vote.left, choice };
        });
        // Which side was pressed is all that may change.
        const { left_rate, left_bias_p } = wanted;
        expectAlike({ ...verdictOfVotes(swapped), left_rate, left_bias_p }, wanted);
      }
    }
  });

  it("mirrors when the models change names", () => {
    const votes = votesOf(0);
    const wanted = verdictOfVotes(votes);
    const other = (model: string) => (model === "ppo" ? "sft" : "ppo");
    const found = verdictOfVotes(votes.map((vote) => ({ ...vote, left: other(vote.left), right: other(vote.right) })));
    expect(found.wins).toEqual({ A: wanted.wins.B, B: wanted.wins.A, tie: wanted.wins.tie });
    expectAlike(found.win_rate_b, 1 - wanted.win_rate_b);
    expectAlike(found.sign_test_p, wanted.sign_test_p);
    expectAlike(found.items_for_80_power, wanted.items_for_80_power);
    expectAlike(found.left_rate, wanted.left_rate);
  });

  it("shows a rater who always presses left as side bias, not as a winner", () => {
    const votes = Array.from({ length: 40 }, (_, item) =>
      one(item, "left", item % 2 === 0 ? {} : { left: "ppo", right: "sft" }),
    );
    const found = verdictOfVotes(votes);
    expect(found).toMatchObject({ win_rate_b: 0.5, sign_test_p: 1, left_rate: 1, items_for_80_power: null });
    expect(found.left_bias_p).toBeLessThan(1e-11);
  });

  it("takes the first vote of a rater on an item, later ones are repeats", () => {
    const tally = tallyVotes([
      one(1, "skip"),
      one(1, "right"),
      one(1, "left"),
      one(1, "skip"),
      one(1, "left", { left: "ppo", right: "sft" }),
      one(1, "tie", { rater: "太郎" }),
      one(2, "both_bad"),
    ]);
    expect(tally).toMatchObject({ models: ["ppo", "sft"], items: ["1", "2"], raters: ["花子", "太郎"], skipped: 2 });
    expect(tally.counts).toEqual([
      [1, 0, 1],
      [0, 0, 1],
    ]);
    expect(tally.repeats).toEqual([
      { rater: 0, item: 0, first: 0, again: 1 },
      { rater: 0, item: 0, first: 0, again: 0 },
    ]);
    expect(verdictOf(tally)).toMatchObject({ items: 2, votes: 3, wins: { A: 0, B: 0, tie: 2 }, left_rate: 0 });
  });

  it("takes the number 7 and the text 7 for the same item", () => {
    expect(tallyVotes([one(7, "left"), one(0, "right", { item: "7", rater: 3 })]).counts).toEqual([[1, 1, 0]]);
  });

  it("one rater has no agreement", () => {
    expect(verdictOfVotes([one(1, "left"), one(2, "right")])).toMatchObject({
      fleiss_kappa: null,
      krippendorff_alpha: null,
    });
  });

  it("never prints NaN, whatever the votes", () => {
    const random = Random.seeded(6);
    const choices = ["left", "right", "tie", "both_bad", "skip"] as const;
    for (let trial = 0; trial < 300; trial++) {
      const kinds = random.shuffle([...choices]).slice(0, 1 + random.below(5));
      const votes = Array.from({ length: 1 + random.below(12) }, () =>
        one(random.below(4), kinds[random.below(kinds.length)] ?? "skip", { rater: `r${random.below(3)}` }),
      );
      const text = JSON.stringify(verdictOfVotes(votes), (_, value: unknown) => {
        if (typeof value === "number" && !Number.isFinite(value)) throw new Error(`${value}`);
        return value;
      });
      expect(Object.keys(JSON.parse(text))).toEqual(KEYS);
    }
  });
});

describe("majority", () => {
  it.each([
    [[2, 1, 1], 0],
    [[1, 2, 1], 1],
    [[1, 1, 2], 2],
    [[2, 2, 1], 2],
    [[2, 1, 2], 2],
    [[0, 0, 0], 2],
  ])("of %j is %i", (counts, outcome) => expect(majority(counts)).toBe(outcome));
});

describe("byCodePoint", () => {
  it("sorts as Python does", () => {
    expect(["𠮷", "ﾊ", "b", "B", "a10", "a2", "a", "凪"].sort(byCodePoint)).toEqual([
      "B",
      "a",
      "a10",
      "a2",
      "b",
      "凪",
      "ﾊ",
      "𠮷",
    ]);
  });
});

describe("reading votes", () => {
  const line = JSON.stringify(one(1, "left"));

  it.each<[string, string, RegExp]>([
    ["not json", "(the line)", /not JSON/],
    ["[1]", "(the line)", /not a JSON object/],
    ["null", "(the line)", /not a JSON object/],
    [line.replace(':"left"', ':"LEFT"'), "choice", /cannot be "LEFT".*"left", "right", "tie", "both_bad" or "skip"/],
    [line.replace('"choice":"left"', '"choise":"left"'), "choice", /is missing/],
    [line.replace('"rater":"花子"', '"rater":""'), "rater", /cannot be ""/],
    [line.replace('"item":1', '"item":1.5'), "item", /cannot be 1\.5/],
    [line.replace('"item":1', '"item":null'), "item", /cannot be null/],
    [line.replace('"ms":900', '"ms":-1'), "ms", /cannot be -1/],
    [line.replace('"ms":900', '"ms":"9"'), "ms", /0 or more/],
    [line.replace('"left":"sft"', '"left":7'), "left", /name of a model/],
  ])("%s: names file, line, field and the way out", (text, field, message) => {
    expect(text).not.toBe(line);
    const error = refusal(() => readVote(text, "votes.jsonl", 12));
    expect(error.code).toBe("votes.bad_line");
    expect(error.details).toMatchObject({ file: "votes.jsonl", line: 12, field });
    expect(error.message).toMatch(/^votes\.jsonl, line 12: /);
    expect(error.message).toMatch(message);
    expect(error.message).toContain("correct the line or take it out");
  });

  it("passes over fields of others", () => {
    expect(readVote(line.replace("{", '{"time":1,'), "v", 1)).toEqual(one(1, "left"));
  });

  it("refuses a third model and a model against itself", () => {
    const third = refusal(() => tallyVotes([one(1, "left"), one(2, "skip", { right: "dpo" })], "v.jsonl"));
    expect(third).toMatchObject({
      code: "votes.models",
      details: { file: "v.jsonl", line: 2, found: "dpo, ppo, sft" },
    });
    expect(refusal(() => tallyVotes([one(1, "left", { right: "sft" })]))).toMatchObject({
      code: "votes.bad_line",
      details: { line: 1, field: "right" },
    });
    expect(refusal(() => tallyVotes([], "v.jsonl"))).toMatchObject({
      code: "votes.empty",
      details: { file: "v.jsonl" },
    });
  });

  it("reads pieces cut anywhere, blank lines and Windows line ends", async () => {
    const text = `${line}\r\n\r\n   \n${JSON.stringify(one(2, "right"))}\n${JSON.stringify(one(3, "tie"))}`;
    const whole = await countVotes([text], "v");
    expect(whole.counts).toEqual([
      [0, 1, 0],
      [1, 0, 0],
      [0, 0, 1],
    ]);
    for (const size of [1, 7, 50]) {
      const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
        text.slice(at * size, (at + 1) * size),
      );
      expect(await countVotes(pieces, "v")).toEqual(whole);
    }
    await expect(countVotes([`${line}\n\n{`], "v")).rejects.toMatchObject({ details: { line: 3 } });
    await expect(countVotes([line, "\n", "x".repeat(1 << 21)], "v")).rejects.toMatchObject({ details: { line: 2 } });
  });
});

describe("sideBias", () => {
  it("tests the left side against one half", () => {
    const ballots = [
      ...Array.from({ length: 8 }, () => ({ side: "left" as const })),
      { side: "right" as const },
      { side: null },
    ];
    expect(sideBias(ballots)).toMatchObject({ left: 8, sided: 9, rate: 8 / 9, p: expect.closeTo(0.0390625, 12) });
    expect(sideBias([])).toEqual({ left: 0, sided: 0, rate: null, p: null, exact95: null });
  });
});
