/** The host's store over a real relay: votes come into the session by themselves, whatever becomes of the connection. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import WebSocket from "ws";
import { joinLive, type LiveRater } from "../../src/clients/live";
import { useLive } from "../../src/stores/live";
import { useRatings, votesOf } from "../../src/stores/ratings";
import { makeSession, type RunningRelay, startRelay } from "./harness";

// Sockets and disks of a busy machine.
vi.setConfig({ testTimeout: 120_000 });

/** IndexedDB as far as it is used. */
const disk = vi.hoisted(() => new Map<string, unknown>());
vi.mock("idb-keyval", () => ({
  createStore: () => null,
  get: async (key: string) => structuredClone(disk.get(key)),
  set: async (key: string, value: unknown) => void disk.set(key, structuredClone(value)),
  update: async (key: string, change: (before: unknown) => unknown) =>
    void disk.set(key, structuredClone(change(structuredClone(disk.get(key))))),
  del: async (key: string) => void disk.delete(key),
  keys: async () => [...disk.keys()],
  entries: async () => structuredClone([...disk]),
}));

/** Until it holds, however slow the machine. */
const eventually = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, { timeout: 60_000, interval: 20 });

let relay: RunningRelay;
let count = 0;
const raters: LiveRater[] = [];
const window = new EventTarget();

async function newRating(): Promise<string> {
  const session = makeSession({ id: `store-${count++}` });
  const models = session.models.map((name) => ({ name, source: null, kl: null }));
  await useRatings.getState().create({ session, models, rewards: [], made: [] });
  return session.id;
}

const side = (id: string) => useLive.getState().sides[id];
const live = () => useLive.getState();

async function rate(id: string, rater: string, number: number): Promise<void> {
  const kept = new Map<string, unknown>();
  const source = await joinLive({
    code: side(id)?.state?.code ?? "",
    rater,
    kept: {
      load: async () => null,
      save: async (code, name, value) => kept.set(`${code} ${name}`, value) !== undefined,
    },
  });
  raters.push(source);
  await source.vote({ number, choice: "left", ms: 900 });
}

const votersOf = (id: string) => {
  const rating = useRatings.getState().ratings[id];
  return rating === undefined ? [] : votesOf(rating).map(({ rater, choice }) => `${rater} ${choice}`);
};

beforeEach(async () => {
  relay = await startRelay();
  vi.stubGlobal("WebSocket", WebSocket);
  vi.stubGlobal("location", { href: relay.base });
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  await useRatings.getState().load();
});

afterEach(async () => {
  for (const rater of raters.splice(0)) rater.end();
  for (const id of Object.keys(live().sides)) if (side(id)?.state) await live().forget(id);
  await relay.close();
  vi.unstubAllGlobals();
});

it("takes votes in as they come, and keeps what was taken when the live session ends", async () => {
  const id = await newRating();
  await live().start(id);
  expect(side(id)).toMatchObject({ busy: false, error: null, state: { online: true, open: true } });
  await rate(id, "花子", 0);
  await eventually(() => expect(votersOf(id)).toEqual(["花子 left"]));
  await live().setOpen(id, false);
  await eventually(() => expect(side(id)?.state?.open).toBe(false));
  await live().forget(id);
  expect(side(id)?.state).toBeNull();
  expect(side(id)?.error).toBeNull();
  expect(votersOf(id)).toEqual(["花子 left"]);
  // Deleted there: starting again is another session under another code.
  await live().start(id);
  expect(side(id)?.state?.raters).toEqual([]);
});

it("leaves votes that came another way alone, and names whose they are", async () => {
  const id = await newRating();
  await useRatings.getState().takeVotes(id, "太郎", [{ number: 1, choice: "tie", ms: 1 }], "turn");
  await live().start(id);
  await rate(id, "太郎", 0);
  await rate(id, "花子", 0);
  await eventually(() => expect(side(id)?.conflicts).toEqual(["太郎"]));
  await eventually(() => expect(votersOf(id).sort()).toEqual(["太郎 tie", "花子 left"]));
});

it("goes on after the relay was away", async () => {
  const id = await newRating();
  await live().start(id);
  const { folder, port } = relay;
  await relay.close();
  await eventually(() => expect(side(id)?.state?.online).toBe(false));
  await live().setOpen(id, false);
  expect(side(id)?.error?.code).toBe("live.unreachable");
  relay = await startRelay({ folder, port });
  await eventually(() => expect(side(id)?.state?.online).toBe(true));
  await live().setOpen(id, false);
  expect(side(id)?.error).toBeNull();
});

it("says where there is no relay, or no server", async () => {
  const id = await newRating();
  const plain = createServer((_, response) => response.end('{"relay":false}'));
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  vi.stubGlobal("location", { href: `http://127.0.0.1:${(plain.address() as AddressInfo).port}/` });
  await live().start(id);
  expect(side(id)?.error?.code).toBe("live.no_relay");
  await new Promise((resolve) => plain.close(resolve));
  await live().start(id);
  expect(side(id)?.error?.code).toBe("live.unreachable");
  expect(side(id)?.state).toBeNull();
});
