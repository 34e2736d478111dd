/** Live sessions end to end: the pages' own client against a relay, over real sockets. */
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import WebSocket from "ws";
import {
  attachLive,
  hostLive,
  joinLive,
  type KeptRater,
  type KeptRaters,
  type LiveHost,
  type LiveRater,
  type LiveState,
  newSecret,
  type OpenSocket,
} from "../../src/clients/live";
import { showCode } from "../../src/shared/protocol/live";
import type { BlindVote, RaterPage, VoteChoice } from "../../src/shared/protocol/rating";
import { pageFor, planShowings, unblind } from "../../src/shared/ratings/plan";
import { makeSession, type RunningRelay, startRelay } from "./harness";

// Sockets and disks of a busy machine.
vi.setConfig({ testTimeout: 120_000 });

/** Until it holds, however slow the machine. */
const eventually = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, { timeout: 60_000, interval: 20 });

const session = makeSession();
let running: RunningRelay[] = [];
let leaving: { end(): void }[] = [];

afterEach(async () => {
  for (const one of leaving) one.end();
  for (const relay of running) await relay.close();
  leaving = [];
  running = [];
});

async function start(options: Parameters<typeof startRelay>[0] = {}): Promise<RunningRelay> {
  const relay = await startRelay(options);
  running.push(relay);
  return relay;
}

/** Sockets of Node; every text that came in is in `heard`. */
function sockets(heard: string[] = []): { open: OpenSocket; cut(): void; network: EventTarget } {
  const live = new Set<WebSocket>();
  return {
    network: new EventTarget(),
    open(url, events) {
      const socket = new WebSocket(url);
      live.add(socket);
      socket.on("open", () => events.open());
      socket.on("message", (data) => {
        heard.push(String(data));
        events.text(String(data));
      });
      socket.on("error", () => undefined);
      socket.on("close", (code) => {
        live.delete(socket);
        events.close(code);
      });
      return { send: (text) => socket.send(text), close: () => socket.terminate() };
    },
    cut() {
      for (const socket of live) socket.terminate();
    },
  };
}

/** A browser's storage; `durable` false: a private window. */
function storage(durable = true): KeptRaters & { readonly kept: Map<string, KeptRater> } {
  const kept = new Map<string, KeptRater>();
  return {
    kept,
    load: async (code, rater) => kept.get(`${code} ${rater}`) ?? null,
    save: async (code, rater, value) => {
      kept.set(`${code} ${rater}`, structuredClone(value));
      return durable;
    },
  };
}

async function host(
  relay: RunningRelay,
  key = newSecret(),
  hosted = session,
): Promise<{ live: LiveHost; state: () => LiveState; key: string }> {
  const live = await hostLive(hosted, key, { base: relay.base, ...sockets() });
  leaving.push(live);
  let state: LiveState | undefined;
  live.watch((next) => {
    state = next;
  });
  return {
    live,
    key,
    state: () => {
      if (state === undefined) throw new Error("nothing was told");
      return state;
    },
  };
}

async function rate(
  relay: RunningRelay,
  code: string,
  rater: string,
  options: Partial<Parameters<typeof joinLive>[0]> = {},
): Promise<LiveRater> {
  const source = await joinLive({ base: relay.base, code, rater, kept: storage(), ...sockets(), ...options });
  leaving.push(source);
  return source;
}

const vote = (number: number, choice: VoteChoice = "left"): BlindVote => ({ number, choice, ms: 1000 + number });
const CHOICES: readonly VoteChoice[] = ["left", "right", "tie", "both_bad", "skip"];
const votesFor = (page: RaterPage, shift: number): BlindVote[] =>
  page.showings.map(({ number }) => vote(number, CHOICES[(number * 7 + shift) % 5]));
const allSent = (source: LiveRater): Promise<void> =>
  new Promise((resolve) => {
    const end = source.watch(({ unsent, online }) => {
      if (online && unsent === 0) {
        resolve();
        queueMicrotask(() => end());
      }
    });
  });

describe("a live session", () => {
  it("gives each rater the blind page, tells the host of every vote, and gives back what was voted", async () => {
    const relay = await start();
    const { live, state } = await host(relay);
    expect(state().addresses).toEqual(["http://relay.test"]);
    const raters = ["花子", "太郎"];
    const given = new Map<string, BlindVote[]>();
    for (const [at, name] of raters.entries()) {
      const source = await rate(relay, state().code, name);
      const { page, answers } = await source.state();
      expect(page).toEqual(pageFor(session, name));
      expect(answers).toEqual([]);
      const votes = votesFor(page, at);
      given.set(name, votes);
      for (const one of votes) await source.vote(one);
      await allSent(source);
    }
    const of = session.items.length + session.repeats;
    await eventually(() =>
      expect(state().raters).toEqual(raters.map((rater) => ({ rater, done: of, of, online: true }))),
    );
    const collected = await live.collect();
    expect(collected).toEqual(raters.map((rater) => ({ rater, answers: given.get(rater) })));
    const lines = collected.flatMap(({ rater, answers }) => unblind(session, rater, answers));
    expect(lines).toHaveLength(2 * of);
    expect(lines[0]?.left).toBe(planShowings(session, "花子")[0]?.left);
  });

  it("says nothing to a rater that unblinds, and nothing of other raters", async () => {
    const relay = await start();
    const { state } = await host(relay);
    const other = await rate(relay, state().code, "the-other");
    await other.vote({ number: 3, choice: "both_bad", ms: 987_654 });
    await allSent(other);
    const heard: string[] = [];
    const own = await rate(relay, state().code, "me", sockets(heard));
    await other.vote({ number: 4, choice: "both_bad", ms: 987_655 });
    await own.vote(vote(0));
    await Promise.all([allSent(own), allSent(other)]);
    const all = heard.join("\n");
    expect(all).toContain(session.question);
    for (const secret of [
      "the-other",
      "98765",
      'both_bad",',
      "-model",
      "item-",
      "報酬",
      '"seed"',
      '"repeat',
      session.name,
    ])
      expect(all).not.toContain(secret);
  });

  it("takes a vote sent again once, the last of two for one number, and one taken back not at all", async () => {
    const relay = await start();
    const { live, state } = await host(relay);
    const source = await rate(relay, state().code, "花子");
    await source.vote(vote(0, "left"));
    await source.vote(vote(0, "right"));
    await source.vote(vote(1, "left"));
    await allSent(source);
    await source.vote(vote(1, "left"));
    await source.vote(vote(2, "tie"));
    await source.undo(2);
    await source.undo(5);
    await allSent(source);
    expect(await live.collect()).toEqual([{ rater: "花子", answers: [vote(0, "right"), vote(1, "left")] }]);
    const file = readFileSync(join(relay.folder, "live", state().code, "votes.jsonl"), "utf8");
    expect(file.match(/"number":1[,}]/g)).toHaveLength(1);
  });

  it("has a vote on the disk before it is acknowledged", async () => {
    const relay = await start();
    const { state } = await host(relay);
    const source = await rate(relay, state().code, "花子", { kept: storage(false) });
    for (let number = 0; number < 5; number++) {
      // A browser that keeps nothing: `vote` waits for the relay's word.
      await source.vote(vote(number));
      const lines = readFileSync(join(relay.folder, "live", state().code, "votes.jsonl"), "utf8")
        .trimEnd()
        .split("\n");
      expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ type: "vote", rater: "花子", vote: vote(number) });
    }
  });

  it("loses nothing and counts nothing twice when connections are cut all the time", async () => {
    const relay = await start();
    const { live, state } = await host(relay);
    const wire = sockets();
    const source = await rate(relay, state().code, "花子", wire);
    const { page } = await source.state();
    const votes = votesFor(page, 3);
    for (const one of votes) {
      await source.vote(one);
      if (one.number % 2 === 0) wire.cut();
    }
    await allSent(source);
    await eventually(async () => expect((await live.collect())[0]?.answers).toEqual(votes));
  });

  it("goes on while offline and sends afterwards", async () => {
    const relay = await start();
    const { live, state } = await host(relay);
    const wire = sockets();
    const source = await rate(relay, state().code, "花子", wire);
    wire.network.dispatchEvent(new Event("offline"));
    const links: boolean[] = [];
    source.watch(({ online }) => links.push(online));
    expect(links).toEqual([false]);
    await eventually(() => expect(state().raters[0]?.online).toBe(false));
    wire.network.dispatchEvent(new Event("online"));
    await source.vote(vote(0));
    await allSent(source);
    expect((await live.collect())[0]?.answers).toEqual([vote(0)]);
  });

  it("survives a restart of the relay, also one that was cut off in a line", async () => {
    const first = await start();
    const { state, live, key } = await host(first);
    const kept = storage();
    const source = await rate(first, state().code, "花子", { kept });
    await source.vote(vote(0));
    await source.vote(vote(1));
    await allSent(source);
    await first.close();
    running = [];
    appendFileSync(join(first.folder, "live", state().code, "votes.jsonl"), '{"type":"vote","rater":"花');
    // Voted while there is no relay at all.
    await source.vote(vote(2, "right"));
    await source.undo(0);
    await start({ folder: first.folder, port: first.port });
    await allSent(source);
    await eventually(async () =>
      expect(await live.collect()).toEqual([{ rater: "花子", answers: [vote(1), vote(2, "right")] }]),
    );
    const again = await attachLive(session.id, key, { base: first.base, ...sockets() });
    leaving.push(again);
    const code = await new Promise<string>((resolve) => again.watch((told) => resolve(told.code)));
    expect(code).toBe(state().code);
    expect((await host(first, key)).state().code).toBe(state().code);
  });

  it("goes on after a reload of the rater's page, with what was not sent yet", async () => {
    const relay = await start();
    const { state, live } = await host(relay);
    const kept = storage();
    const wire = sockets();
    const before = await rate(relay, state().code, "花子", { kept, ...wire });
    await before.vote(vote(0));
    await allSent(before);
    wire.network.dispatchEvent(new Event("offline"));
    await before.vote(vote(1, "right"));
    before.end();
    const after = await rate(relay, state().code, "花子", { kept });
    expect((await after.state()).answers).toEqual([vote(0), vote(1, "right")]);
    await allSent(after);
    expect((await live.collect())[0]?.answers).toEqual([vote(0), vote(1, "right")]);
  });
});

describe("who may what", () => {
  it("keeps a name for the browser that took it", async () => {
    const relay = await start();
    const { state } = await host(relay);
    const kept = storage();
    await rate(relay, state().code, "花子", { kept });
    await expect(rate(relay, state().code, "花子")).rejects.toMatchObject({ code: "live.name_taken" });
    await expect(rate(relay, state().code, "花子", { kept })).resolves.toBeDefined();
  });

  it("lets the page that came last go on", async () => {
    const relay = await start();
    const { state } = await host(relay);
    const kept = storage();
    const first = await rate(relay, state().code, "花子", { kept });
    const told = new Promise((resolve) => first.notices(({ problem }) => problem && resolve(problem.code)));
    await rate(relay, state().code, "花子", { kept });
    expect(await told).toBe("live.elsewhere");
    await expect(first.vote(vote(0))).rejects.toMatchObject({ code: "live.elsewhere" });
  });

  it("opens its own session with a code and no other", async () => {
    const relay = await start();
    const one = await host(relay);
    const second = makeSession({ id: "session-2", question: "別の質問" });
    const two = await host(relay, newSecret(), second);
    expect(one.state().code).not.toBe(two.state().code);
    const source = await rate(relay, two.state().code, "花子");
    expect((await source.state()).page.question).toBe("別の質問");
    await source.vote(vote(0));
    await allSent(source);
    expect(await one.live.collect()).toEqual([]);
    expect((await two.live.collect())[0]?.answers).toEqual([vote(0)]);
  });

  it("gives a session to whoever has its key only", async () => {
    const relay = await start();
    const { state } = await host(relay);
    const options = { base: relay.base, ...sockets() };
    await expect(attachLive(session.id, newSecret(), options)).rejects.toMatchObject({ code: "live.not_live" });
    // The same session under another key is another live session.
    expect((await host(relay)).state().code).not.toBe(state().code);
    const { key } = await host(relay);
    await expect(hostLive({ ...session, seed: 5 }, key, options)).rejects.toMatchObject({ code: "live.bad_message" });
  });

  it("stops who tries codes, and nobody who is in", async () => {
    let now = 0;
    const relay = await start({ now: () => now });
    const { state } = await host(relay);
    const wire = sockets();
    const inside = await rate(relay, state().code, "花子", wire);
    for (const last of "ABCDEFGHJK")
      await expect(rate(relay, `2222222${last}`, "x")).rejects.toMatchObject({ code: "live.unknown_code" });
    await expect(rate(relay, state().code, "太郎")).rejects.toMatchObject({ code: "live.too_many_tries" });
    wire.cut();
    await inside.vote(vote(0));
    await allSent(inside);
    now += 6000;
    await rate(relay, state().code, "太郎");
  });

  it("takes no votes once it is closed, and sends what waited once it is open again", async () => {
    const relay = await start();
    const { live, state } = await host(relay);
    const wire = sockets();
    const source = await rate(relay, state().code, "花子", wire);
    await source.vote(vote(0));
    await allSent(source);
    wire.network.dispatchEvent(new Event("offline"));
    await source.vote(vote(1));
    await live.setOpen(false);
    wire.network.dispatchEvent(new Event("online"));
    await new Promise<void>((resolve) => source.notices(({ open }) => !open && resolve()));
    await expect(source.vote(vote(2))).rejects.toMatchObject({ code: "live.closed" });
    await expect(rate(relay, state().code, "太郎")).rejects.toMatchObject({ code: "live.closed" });
    expect((await live.collect())[0]?.answers).toEqual([vote(0)]);
    await live.setOpen(true);
    await allSent(source);
    expect((await live.collect())[0]?.answers).toEqual([vote(0), vote(1)]);
  });

  it("refuses votes that the session does not allow", async () => {
    const relay = await start();
    const strict = makeSession({ allow_tie: false, allow_both_bad: false });
    const { live, state } = await host(relay, newSecret(), strict);
    const source = await rate(relay, state().code, "花子", { kept: storage(false) });
    for (const bad of [vote(0, "tie"), vote(0, "both_bad"), vote(22), vote(9_999_999)])
      await expect(source.vote(bad)).rejects.toMatchObject({ code: "live.bad_vote" });
    await source.vote(vote(21));
    expect((await live.collect())[0]?.answers).toEqual([vote(21)]);
  });

  it("is gone when the host deletes it", async () => {
    const relay = await start();
    const { live, state, key } = await host(relay);
    const source = await rate(relay, state().code, "花子");
    const told = new Promise((resolve) => source.notices(({ problem }) => problem && resolve(problem.details)));
    await live.forget();
    expect(await told).toEqual({ code: showCode(state().code) });
    expect(readdirSync(join(relay.folder, "live"))).toEqual([]);
    await expect(rate(relay, state().code, "花子")).rejects.toMatchObject({ code: "live.unknown_code" });
    await expect(attachLive(session.id, key, { base: relay.base, ...sockets() })).rejects.toMatchObject({
      code: "live.not_live",
    });
  });
});
