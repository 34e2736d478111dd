import { beforeEach, describe, expect, it, vi } from "vitest";
import { provideBackend } from "../clients/backend";
import { EMPTY_BACKEND } from "../clients/scripted";
import type { ArtefactRecord } from "../shared/protocol/artefact";
import type { PreferencesImport } from "../shared/protocol/library";
import { pairsFromVotes } from "../shared/ratings/preferences";
import { decidedPairs } from "../shared/ratings/reward-comparison";
import { prefers, scriptedSession } from "../shared/ratings/scripted-session";
import { Random } from "../shared/stats/random";
import { localSource } from "./rater-sources";
import { judge, makePairs } from "./rating-pairs";
import { useRatings, votesOf } from "./ratings";

const disk = vi.hoisted(() => new Map<string, unknown>());
vi.mock("idb-keyval", () => ({
  createStore: () => null,
  set: async (key: string, value: unknown) => void disk.set(key, value),
  update: async (key: string, change: (before: unknown) => unknown) => void disk.set(key, change(disk.get(key))),
  entries: async () => [...disk],
}));

const session = scriptedSession({ count: 20, parents: [{ slot: "texts", id: "e".repeat(64) }] });
const { id } = session;
const ARTEFACT: ArtefactRecord = {
  id: "f".repeat(64),
  kind: "preferences",
  name: "",
  created: 77,
  files: [{ path: "preferences.jsonl", bytes: 1, sha256: "0".repeat(64) }],
  parents: [],
  run_id: "people",
  stage: null,
  seed: 0,
};
let imported: PreferencesImport[];

beforeEach(async () => {
  imported = [];
  disk.clear();
  provideBackend({
    ...EMPTY_BACKEND,
    importPreferences: async (request) => {
      imported.push(request);
      return ARTEFACT;
    },
    // The text that is called better is the one with more characters; "short" thinks the opposite.
    scoreArtefact: async (model, texts) =>
      texts.map((text) => ({
        reward: model === "short" ? -text.length : text.length,
        probability: 0.5,
        tokens: 1,
        truncated: false,
      })),
  });
  await useRatings.getState().load();
  const models = session.models.map((name) => ({ name, source: null, kl: null }));
  await useRatings.getState().create({ session, models, rewards: [], made: [] });
  const random = Random.seeded(4);
  const source = localSource(id, "花子");
  for (const { number, left, right } of (await source.state()).page.showings)
    await source.vote({ number, choice: prefers("")(left, right, random), ms: 1 });
});

const rating = () => {
  const found = useRatings.getState().ratings[id];
  if (found === undefined) throw new Error("no session");
  return found;
};

describe("makePairs", () => {
  it("stores the pairs with the evaluation as their parent, and remembers what was kept back", async () => {
    const voted = pairsFromVotes(session, votesOf(rating()), "majority", 0.25);
    await makePairs(rating(), voted, "票");
    expect(imported[0]).toMatchObject({ name: "票", parents: session.parents });
    const lines = (await imported[0]?.file.text())?.trimEnd().split("\n") ?? [];
    expect(lines.map((line) => JSON.parse(line))).toEqual(voted.pairs);
    const made = { artefact: ARTEFACT.id, pairs: voted.pairs.length, held_out: [...voted.held_out], created: 77 };
    expect(rating().record.made).toEqual([made]);
    await useRatings.getState().load();
    expect(rating().record.made).toEqual([made]);
  });
});

describe("judge", () => {
  it("holds two reward models against the same pairs", async () => {
    const all = session.items.map(({ item }) => String(item));
    const pairs = decidedPairs(session, votesOf(rating()), all);
    expect(pairs.length).toBeGreaterThan(5);
    const longer = pairs.filter(({ chosen, rejected }) => chosen.length > rejected.length).length;
    const shorter = pairs.filter(({ chosen, rejected }) => chosen.length < rejected.length).length;
    const found = await judge("long", "short", pairs);
    expect([found.before.agreed, found.after.agreed]).toEqual([longer, shorter]);
    expect([found.only_before, found.only_after]).toEqual([longer, shorter]);
  });
});
