import { describe, expect, it } from "vitest";
import { NagiError } from "../errors";
import type { BlindVote } from "../protocol/rating";
import { makeBundle, readBundle, readVotesFile, votesFile } from "./bundle";
import { pageFor, unblind } from "./plan";
import { scriptedSession } from "./scripted-session";

const codeOf = async (action: Promise<unknown>): Promise<string> => {
  try {
    await action;
  } catch (error) {
    if (error instanceof NagiError) return error.code;
  }
  return "accepted";
};

const session = scriptedSession({ count: 10, repeats: 2, seed: 123456789 });
const answers: BlindVote[] = pageFor(session, "花子").showings.map(({ number }) => ({
  number,
  choice: number % 2 === 0 ? "left" : "tie",
  ms: 700 + number,
}));

describe("bundles", () => {
  it("hold nothing that unblinds: no model, no reward, no item, no seed", async () => {
    const text = JSON.stringify(await makeBundle(session, "花子"));
    for (const secret of ["secret", "judge", "reward", "seed", "123456789", '"item"', "evening"])
      expect(text, secret).not.toContain(secret);
    for (const { rewards } of session.items.flatMap(({ texts }) => texts))
      expect(text).not.toContain(String(rewards.judge));
  });

  it("come back as votes that are those of the session", async () => {
    const bundle = await readBundle(JSON.stringify(await makeBundle(session, "花子")), "花子.bundle.json");
    const votes = await readVotesFile(JSON.stringify(votesFile(bundle, answers)), "花子.votes.json", session);
    expect(votes).toMatchObject({ rater: "花子", answers });
    const lines = unblind(session, votes.rater, votes.answers);
    expect(lines).toHaveLength(12);
    expect(new Set(lines.map(({ item }) => item)).size).toBe(10);
  });

  it("are refused when they are something else or were changed", async () => {
    const bundle = await makeBundle(session, "花子");
    for (const text of [
      "",
      "{",
      "[]",
      "7",
      '{"format":"nagi-rating-votes"}',
      JSON.stringify({ ...bundle, version: 2 }),
    ])
      expect(await codeOf(readBundle(text, "f")), text).toBe("rating.bad_file");
    const changed = { ...bundle, page: { ...bundle.page, question: "他の質問" } };
    expect(await codeOf(readBundle(JSON.stringify(changed), "f"))).toBe("rating.bad_file");
  });
});

describe("votes files", () => {
  const file = async (change: object) =>
    JSON.stringify({ ...votesFile(await makeBundle(session, "花子"), answers), ...change });

  it("of another session, another rater or other texts are foreign", async () => {
    expect(await codeOf(readVotesFile(await file({ session: "x" }), "f", session))).toBe("rating.foreign");
    expect(await codeOf(readVotesFile(await file({ rater: "太郎" }), "f", session))).toBe("rating.foreign");
    const other = scriptedSession({ count: 10, repeats: 2, seed: 5 });
    expect(await codeOf(readVotesFile(await file({}), "f", other))).toBe("rating.foreign");
  });

  it("with votes that cannot be are refused", async () => {
    const vote = { number: 0, choice: "left", ms: 1 };
    for (const bad of [
      [{ ...vote, number: 12 }],
      [vote, vote],
      [{ ...vote, choice: "up" }],
      [{ ...vote, ms: -1 }],
      [{ ...vote, model: "ppo" }],
    ])
      expect(await codeOf(readVotesFile(await file({ answers: bad }), "f", session))).toBe("rating.bad_file");
    const strict = { ...session, allow_tie: false };
    const own = votesFile(await makeBundle(strict, "花子"), answers);
    expect(await codeOf(readVotesFile(JSON.stringify(own), "f", strict))).toBe("rating.bad_file");
  });
});
