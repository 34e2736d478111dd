import { beforeEach, describe, expect, it, vi } from "vitest";
import { provideFigures } from "../clients/figures";
import { NagiError } from "../shared/errors";
import type { RatingRecord } from "../shared/protocol/rating-files";
import { makeBundle, readBundle, votesFile } from "../shared/ratings/bundle";
import { overview, pairFigures } from "../shared/ratings/figures";
import { scriptedSession } from "../shared/ratings/scripted-session";
import { pairKey, useFigures } from "./figures";
import { bundleSource, localSource } from "./rater-sources";
import { useRatings, votesOf } from "./ratings";

/** IndexedDB as far as it is used: one map, what is put in is copied, a full disk refuses. */
const disk = vi.hoisted(() => ({ entries: new Map<string, unknown>(), full: false }));
vi.mock("idb-keyval", () => {
  const write = (key: string, value: unknown): void => {
    if (disk.full) throw new DOMException("full", "QuotaExceededError");
    disk.entries.set(key, structuredClone(value));
  };
  return {
    createStore: () => null,
    get: async (key: string) => structuredClone(disk.entries.get(key)),
    set: async (key: string, value: unknown) => write(key, value),
    update: async (key: string, change: (before: unknown) => unknown) =>
      write(key, change(structuredClone(disk.entries.get(key)))),
    del: async (key: string) => void disk.entries.delete(key),
    keys: async () => [...disk.entries.keys()],
    entries: async () => structuredClone([...disk.entries]),
  };
});

const session = scriptedSession({ count: 6, repeats: 1 });
const RECORD: RatingRecord = {
  session,
  models: session.models.map((name) => ({ name, source: null, kl: null })),
  rewards: [],
  made: [],
};
const { id } = session;
const state = () => useRatings.getState();
const file = (value: unknown, name: string) =>
  new File([typeof value === "string" ? value : JSON.stringify(value)], name);
const codeOf = async (action: Promise<unknown>): Promise<string> => {
  try {
    await action;
  } catch (error) {
    if (error instanceof NagiError) return error.code;
    throw error;
  }
  return "accepted";
};

beforeEach(async () => {
  disk.entries.clear();
  disk.full = false;
  await state().load();
  await state().create(RECORD);
});

describe("votes in turn", () => {
  it("are on the disk when the page hears of it, and survive a reload", async () => {
    const source = localSource(id, "花子");
    await source.vote({ number: 0, choice: "left", ms: 10 });
    await source.vote({ number: 1, choice: "tie", ms: 20 });
    await source.vote({ number: 0, choice: "right", ms: 30 });
    useRatings.setState({ ratings: {}, bundles: {} });
    await state().load();
    expect(state().ratings[id]?.votes).toEqual([
      {
        session: id,
        rater: "花子",
        source: "turn",
        answers: [
          { number: 0, choice: "right", ms: 30 },
          { number: 1, choice: "tie", ms: 20 },
        ],
      },
    ]);
    await localSource(id, "花子").undo(0);
    expect((await localSource(id, "花子").state()).answers).toEqual([{ number: 1, choice: "tie", ms: 20 }]);
    expect((await localSource(id, "太郎").state()).answers).toEqual([]);
  });

  it("that cannot be stored are not counted, and say so", async () => {
    const source = localSource(id, "花子");
    await source.vote({ number: 0, choice: "left", ms: 10 });
    disk.full = true;
    expect(await codeOf(source.vote({ number: 1, choice: "left", ms: 10 }))).toBe("storage.quota");
    expect(state().ratings[id]?.votes[0]?.answers).toHaveLength(1);
    disk.full = false;
    await source.vote({ number: 1, choice: "left", ms: 10 });
    expect(state().ratings[id]?.votes[0]?.answers).toHaveLength(2);
  });

  it("show rewards only where the session does", async () => {
    expect(localSource(id, "花子").rewards).toBeUndefined();
    await state().create({ ...RECORD, session: { ...session, id: "open", hide_reward: false } });
    const source = localSource("open", "花子");
    const { page } = await source.state();
    const rewards = await source.rewards?.(0);
    const shown = session.items.find(({ prompt }) => prompt === page.showings[0]?.prompt);
    const left = shown?.texts.find(({ text }) => text === page.showings[0]?.left);
    expect(rewards?.left).toEqual(left?.rewards);
  });
});

describe("bundles", () => {
  it("go out, are voted on, and come back once", async () => {
    const made = await makeBundle(session, "太郎");
    const digest = await state().openBundle(file(made, "太郎.bundle.json"));
    const source = bundleSource(digest);
    for (const { number } of made.page.showings) await source.vote({ number, choice: "left", ms: 5 });
    await source.undo(2);
    useRatings.setState({ bundles: {} });
    await state().load();
    const opened = state().bundles[digest];
    expect(opened?.answers).toHaveLength(6);
    // Opening it again goes on where it was.
    expect(await state().openBundle(file(made, "again.json"))).toBe(digest);
    expect((await bundleSource(digest).state()).answers).toHaveLength(6);
    const back = votesFile(await readBundle(JSON.stringify(made), "b"), opened?.answers ?? []);
    await state().importVotes(id, [file(back, "太郎.votes.json")]);
    expect(state().ratings[id]?.votes.map(({ rater, source: from }) => [rater, from])).toEqual([["太郎", "file"]]);
    expect(await codeOf(state().importVotes(id, [file(back, "太郎.votes.json")]))).toBe("rating.duplicate");
    await state().removeRater(id, "太郎");
    await state().importVotes(id, [file(back, "太郎.votes.json")]);
    expect(state().ratings[id]?.votes).toHaveLength(1);
  });

  it("of which one is wrong change nothing", async () => {
    const made = await makeBundle(session, "太郎");
    const good = votesFile(made, [{ number: 0, choice: "left", ms: 1 }]);
    for (const [bad, code] of [
      [made, "rating.bad_file"],
      ["no JSON", "rating.bad_file"],
      [{ ...good, session: "other" }, "rating.foreign"],
      [good, "rating.duplicate"],
    ] as const)
      expect(await codeOf(state().importVotes(id, [file(good, "good"), file(bad, "bad")])), code).toBe(code);
    expect(state().ratings[id]?.votes).toEqual([]);
    expect(disk.entries.size).toBe(1);
  });
});

describe("live votes", () => {
  it("replace the rater's, again and again, but nobody's who voted another way", async () => {
    await state().takeVotes(id, "花子", [{ number: 0, choice: "left", ms: 1 }], "live");
    await state().takeVotes(id, "花子", [{ number: 0, choice: "right", ms: 1 }], "live");
    expect(state().ratings[id]?.votes[0]?.answers).toEqual([{ number: 0, choice: "right", ms: 1 }]);
    const before = state().ratings[id]?.votes;
    await state().takeVotes(id, "花子", [{ number: 0, choice: "right", ms: 1 }], "live");
    expect(state().ratings[id]?.votes).toBe(before);
    expect(await codeOf(state().takeVotes(id, "花子", [], "turn"))).toBe("rating.duplicate");
    expect(await codeOf(state().takeVotes("gone", "花子", [], "live"))).toBe("rating.not_found");
    // Nor does somebody who opens the page under that name here.
    expect(await codeOf(localSource(id, "花子").vote({ number: 1, choice: "left", ms: 1 }))).toBe("rating.duplicate");
    expect(state().ratings[id]?.votes[0]?.answers).toHaveLength(1);
  });
});

describe("deleting", () => {
  it("takes the votes of the session along and leaves what others keep", async () => {
    await localSource(id, "花子").vote({ number: 0, choice: "left", ms: 1 });
    const digest = await state().openBundle(file(await makeBundle(session, "太郎"), "b"));
    await state().delete(id);
    expect([...disk.entries.keys()]).toEqual([`bundle/${digest}`]);
    expect(state().ratings).toEqual({});
  });

  it("leaves what another version wrote where it is", async () => {
    disk.entries.set("session/odd", { version: 99 });
    await state().load();
    expect(Object.keys(state().ratings)).toEqual([id]);
    expect(disk.entries.has("session/odd")).toBe(true);
  });
});

describe("figures", () => {
  it("count votes that came in meanwhile once more", async () => {
    let asked = 0;
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    provideFigures({
      pair: async (request) => {
        asked++;
        await gate;
        return pairFigures({ ...request, draws: 5 });
      },
      overview: async (request) => overview({ ...request, draws: 5 }),
    });
    const pair = ["sft-secret", "ppo-secret"] as const;
    const compute = async (): Promise<void> => {
      const rating = state().ratings[id];
      if (rating !== undefined) await useFigures.getState().computePair(rating, pair);
    };
    const source = localSource(id, "花子");
    await source.vote({ number: 0, choice: "left", ms: 1 });
    const first = compute();
    await source.vote({ number: 1, choice: "left", ms: 1 });
    await compute();
    await source.vote({ number: 2, choice: "left", ms: 1 });
    await compute();
    open();
    await first;
    const found = useFigures.getState().pairs[pairKey(id, pair)]?.value;
    expect(found?.status === "ready" ? found.value?.verdict.votes : null).toBe(3);
    expect(asked).toBe(2);
    await compute();
    expect(asked).toBe(2);
    const rating = state().ratings[id];
    expect(rating === undefined ? 0 : votesOf(rating).length).toBe(3);
  });
});
