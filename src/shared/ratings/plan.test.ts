import { describe, expect, it } from "vitest";
import { NagiError } from "../errors";
import { type RatingSession, raterPage, ratingSession, vote } from "../protocol/rating";
import { Random } from "../stats/random";
import { type PlannedShowing, pageFor, planShowings, repeatGap, unblind } from "./plan";
import { checkSession, maxRepeats, modelPairs, showingsOf } from "./session";

function makeSession(over: Partial<RatingSession> & { count?: number } = {}): RatingSession {
  const { count = 10, ...fields } = over;
  const models = fields.models ?? ["sft-model", "ppo-model"];
  return ratingSession.parse({
    id: "s1",
    name: "evening",
    created: 1,
    question: "どちらが良いですか?",
    models,
    items: Array.from({ length: count }, (_, item) => ({
      item,
      prompt: `prompt ${item}`,
      texts: models.map((model, at) => ({ model, text: `text ${item}/${at}`, rewards: { judge: at - item } })),
    })),
    allow_tie: true,
    allow_both_bad: true,
    pairs_per_item: 1,
    repeats: 0,
    seed: 1,
    hide_reward: true,
    parents: [],
    ...fields,
  });
}

/** Sessions of all sizes, from one item and two models up. */
function* anySession(): Generator<RatingSession> {
  const random = Random.seeded(99);
  for (let trial = 0; trial < 200; trial++) {
    const models = Array.from({ length: 2 + random.below(4) }, (_, at) => `secret-${at}`);
    const pairs_per_item = 1 + random.below((models.length * (models.length - 1)) / 2);
    const made = makeSession({ count: 1 + random.below(40), models, pairs_per_item, seed: random.uint32() });
    yield { ...made, repeats: random.below(maxRepeats(made) + 1) };
  }
}

const key = ({ item, left, right }: PlannedShowing) => JSON.stringify([item, ...[left, right].sort()]);
const spread = (counts: Iterable<number>) => Math.max(...counts) - Math.min(...counts);

describe("planShowings", () => {
  it("shows every item as often as asked, never the same pair twice but for repeats", () => {
    for (const session of anySession()) {
      const shown = planShowings(session, "花子");
      const firsts = shown.filter(({ repeat }) => !repeat);
      expect(firsts).toHaveLength(showingsOf(session));
      expect(shown).toHaveLength(showingsOf(session) + session.repeats);
      expect(new Set(firsts.map(key)).size).toBe(firsts.length);
      for (const { item } of session.items)
        expect(firsts.filter((one) => one.item === item)).toHaveLength(session.pairs_per_item);
    }
  });

  it("uses every pair equally often, each way round equally often", () => {
    for (const session of anySession()) {
      const shown = planShowings(session, "r");
      const firsts = shown.filter(({ repeat }) => !repeat);
      const straight = (list: PlannedShowing[], [a, b]: [string, string]) =>
        list.filter(({ left, right }) => left === a && right === b).length;
      const pairs = modelPairs(session.models);
      expect(spread(pairs.map(([a, b]) => straight(firsts, [a, b]) + straight(firsts, [b, a])))).toBeLessThanOrEqual(1);
      for (const [a, b] of pairs)
        expect(Math.abs(straight(firsts, [a, b]) - straight(firsts, [b, a]))).toBeLessThanOrEqual(1);
      const all = pairs.reduce((sum, [a, b]) => sum + straight(firsts, [a, b]) - straight(firsts, [b, a]), 0);
      expect(Math.abs(all)).toBeLessThanOrEqual(1);
    }
  });

  it("stays balanced with a few repeats", () => {
    for (let seed = 0; seed < 100; seed++) {
      const shown = planShowings(makeSession({ count: 41, repeats: 8, seed }), "r");
      const left = shown.filter(({ left }) => left === "sft-model").length;
      expect(Math.abs(2 * left - shown.length)).toBeLessThanOrEqual(1);
    }
  });

  it("repeats late and the other way round", () => {
    for (const session of anySession()) {
      const shown = planShowings(session, "r");
      for (const [at, one] of shown.entries()) {
        if (!one.repeat) continue;
        const first = shown.findIndex((other) => key(other) === key(one));
        expect(shown[first]).toMatchObject({ repeat: false, left: one.right, right: one.left });
        expect(at - first).toBeGreaterThan(repeatGap(session));
      }
    }
  });

  it("brings an item back only after half of the items", () => {
    for (const session of anySession()) {
      const firsts = planShowings(session, "r").filter(({ repeat }) => !repeat);
      const last = new Map<unknown, number>();
      for (const [at, { item }] of firsts.entries()) {
        const before = last.get(item);
        if (before !== undefined)
          expect(at - before).toBeGreaterThanOrEqual(
            Math.floor(session.items.length / 2) + (session.items.length > 1 ? 0 : 1),
          );
        last.set(item, at);
      }
    }
  });

  it("depends on seed and rater and on nothing else", () => {
    const session = makeSession({ count: 30, repeats: 5 });
    const plan = JSON.stringify(planShowings(session, "a"));
    expect(JSON.stringify(planShowings({ ...session, question: "?", name: "x" }, "a"))).toBe(plan);
    expect(JSON.stringify(planShowings(session, "b"))).not.toBe(plan);
    expect(JSON.stringify(planShowings({ ...session, seed: 2 }, "a"))).not.toBe(plan);
  });

  it("puts each model left about as often at each position, over many raters", () => {
    const session = makeSession({ count: 6 });
    const raters = 2000;
    const left = new Array<number>(6).fill(0);
    const first = new Map<unknown, number>();
    for (let rater = 0; rater < raters; rater++) {
      const shown = planShowings(session, `rater ${rater}`);
      first.set(shown[0]?.item, (first.get(shown[0]?.item) ?? 0) + 1);
      for (const [at, one] of shown.entries()) if (one.left === "sft-model") left[at] = (left[at] ?? 0) + 1;
    }
    // Five standard deviations of a binomial share.
    for (const count of left) expect(Math.abs(count / raters - 1 / 2)).toBeLessThan(0.056);
    for (const { item } of session.items) expect(Math.abs((first.get(item) ?? 0) / raters - 1 / 6)).toBeLessThan(0.042);
  });
});

describe("pageFor", () => {
  it("holds the texts and nothing that unblinds", () => {
    for (const session of anySession()) {
      const page = raterPage.parse(pageFor(session, "r"));
      const sent = JSON.stringify(page);
      for (const secret of [...session.models, "judge", "secret", `"seed"`, `"repeat"`, `"item"`, `"rewards"`])
        expect(sent).not.toContain(secret);
      const plan = planShowings(session, "r");
      for (const [at, showing] of page.showings.entries()) {
        const one = plan[at];
        const item = session.items.find(({ item }) => item === one?.item);
        expect(showing.prompt).toBe(item?.prompt);
        expect(showing.left).toBe(item?.texts.find(({ model }) => model === one?.left)?.text);
        expect(showing.right).toBe(item?.texts.find(({ model }) => model === one?.right)?.text);
      }
    }
  });
});

describe("unblind", () => {
  it("names the models the rater saw, the last word counts, repeats follow", () => {
    const session = makeSession({ count: 12, repeats: 3, allow_both_bad: false });
    const plan = planShowings(session, "r");
    const answers = [
      ...plan.map((_, number) => ({ number, choice: "left" as const, ms: 10 + number })),
      { number: 2, choice: "tie" as const, ms: 5 },
      { number: 3, choice: "both_bad" as const, ms: 5 },
      { number: 999, choice: "left" as const, ms: 5 },
    ];
    const votes = unblind(session, "r", answers);
    expect(votes).toHaveLength(14);
    for (const one of votes) vote.parse(one);
    expect(votes[2]).toEqual({
      rater: "r",
      item: plan[2]?.item,
      left: plan[2]?.left,
      right: plan[2]?.right,
      choice: "tie",
      ms: 5,
    });
    expect(votes[3]).toMatchObject({ item: plan[4]?.item, left: plan[4]?.left, choice: "left", ms: 14 });
    expect(unblind({ ...session, allow_tie: false }, "r", answers)).toHaveLength(13);
  });
});

describe("checkSession", () => {
  const good = makeSession({ count: 4 });
  const [first, second] = good.items;
  if (!first || !second) throw new Error("no items");
  it.each<[string, RatingSession]>([
    ["models.1", { ...good, models: ["sft-model", "sft-model"] }],
    ["items.1.item", { ...good, items: [first, { ...second, item: "0" }] }],
    ["items.0.texts", { ...good, models: ["sft-model", "other"] }],
    ["items.0.texts", { ...good, items: [{ ...first, texts: [...first.texts, ...first.texts] }] }],
    ["pairs_per_item", { ...good, pairs_per_item: 2 }],
    ["repeats", { ...good, repeats: 3 }],
  ])("refuses %s", (path, session) => {
    let error: unknown;
    try {
      checkSession(session);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(NagiError);
    expect(error).toMatchObject({ code: "rating.invalid", details: { path, session: "evening" } });
  });

  it("accepts what fits", () => expect(() => checkSession({ ...good, repeats: 2 })).not.toThrow());
});
