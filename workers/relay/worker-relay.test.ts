/** A worker behind NAT and its studios: frames pass as they are, nothing piles up, everybody may come again. */
import { afterEach, expect, it, vi } from "vitest";
import WebSocket from "ws";
import { type RunningRelay, startRelay } from "./harness";
import { FRAME_BYTES, KIND, packFrame, unpackFrame } from "./worker-frames";

// Sockets and disks of a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const KEY = "ab".repeat(32);
let relay: RunningRelay;
const open: WebSocket[] = [];

afterEach(async () => {
  for (const socket of open.splice(0)) socket.terminate();
  await relay.close();
});

interface Heard {
  readonly data: Buffer;
  readonly binary: boolean;
}

class Peer {
  readonly heard: Heard[] = [];
  #at = 0;
  #wake: (() => void) | null = null;
  readonly closed: Promise<number>;

  constructor(readonly socket: WebSocket) {
    open.push(socket);
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer, binary) => {
      this.heard.push({ data, binary });
      this.#wake?.();
    });
    this.closed = new Promise((resolve) => socket.on("close", resolve));
  }

  async next(): Promise<Heard> {
    while (this.heard.length <= this.#at)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    const one = this.heard[this.#at++];
    if (one === undefined) throw new Error("nothing was heard");
    return one;
  }

  async text(): Promise<Record<string, unknown>> {
    return JSON.parse((await this.next()).data.toString());
  }

  /** The next frame of a channel. */
  async frame(): Promise<{ channel: number; kind: number; payload: Buffer }> {
    const { data, binary } = await this.next();
    const frame = binary ? unpackFrame(data) : null;
    if (frame === null) throw new Error(`not a frame: ${data}`);
    return frame;
  }
}

const dial = (path: string, headers: Record<string, string> = {}): Promise<Peer> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${relay.port}${path}`, { headers });
    const peer = new Peer(socket);
    socket.on("open", () => resolve(peer)).on("error", reject);
  });

async function worker(key = KEY): Promise<{ peer: Peer; code: string }> {
  const peer = await dial("/relay/worker");
  peer.socket.send(JSON.stringify({ type: "worker", worker_key: key, name: "gpu-box" }));
  const told = await peer.text();
  expect(told).toEqual({ type: "code", code: expect.stringMatching(/^[2-9A-HJKMNP-Z]{4}$/) });
  return { peer, code: String(told.code) };
}

async function studio(code: string, origin?: string): Promise<Peer> {
  const peer = await dial("/relay/studio", origin === undefined ? {} : { origin });
  peer.socket.send(JSON.stringify({ type: "pair", code }));
  expect(await peer.text()).toEqual({ type: "paired" });
  return peer;
}

it("passes frames on as they are, for several studios at once", async () => {
  relay = await startRelay();
  const { peer: box, code } = await worker();
  const one = await studio(code, "http://localhost:4173");
  const opened = await box.frame();
  expect([opened.kind, JSON.parse(opened.payload.toString())]).toEqual([
    KIND.opened,
    { origin: "http://localhost:4173" },
  ]);
  const two = await studio(code.toLowerCase());
  const second = await box.frame();
  expect(JSON.parse(second.payload.toString())).toEqual({ origin: null });
  expect(second.channel).not.toBe(opened.channel);
  const text = JSON.stringify({ type: "hello", token: "秘密", schema_hash: "00" });
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, at) => at % 256));
  one.socket.send(text);
  one.socket.send(bytes);
  two.socket.send(Buffer.alloc(0));
  expect(await box.frame()).toEqual({ channel: opened.channel, kind: KIND.text, payload: Buffer.from(text) });
  expect(await box.frame()).toEqual({ channel: opened.channel, kind: KIND.binary, payload: bytes });
  expect(await box.frame()).toEqual({ channel: second.channel, kind: KIND.binary, payload: Buffer.alloc(0) });
  box.socket.send(packFrame(second.channel, KIND.text, text));
  box.socket.send(packFrame(opened.channel, KIND.binary, bytes));
  expect(await two.next()).toEqual({ data: Buffer.from(text), binary: false });
  expect(await one.next()).toEqual({ data: bytes, binary: true });
});

it("tells each side that the other has gone", async () => {
  relay = await startRelay();
  const { peer: box, code } = await worker();
  const one = await studio(code);
  const { channel } = await box.frame();
  one.socket.close(4000, "勉強終わり");
  const closed = await box.frame();
  expect([closed.channel, closed.kind]).toEqual([channel, KIND.closed]);
  expect(JSON.parse(closed.payload.toString())).toEqual({ code: 4000, reason: "勉強終わり" });
  const two = await studio(code);
  const next = await box.frame();
  expect(next.channel).not.toBe(channel);
  // Late words to the one that has gone reach nobody.
  box.socket.send(packFrame(channel, KIND.text, "late"));
  box.socket.send(packFrame(next.channel, KIND.closed, JSON.stringify({ code: 4401, reason: "token" })));
  expect(await two.closed).toBe(4401);
  expect(two.heard).toHaveLength(1);
  const three = await studio(code);
  box.socket.terminate();
  expect(await three.closed).toBe(4503);
});

it("gives the same code to the same worker, also after a restart, and lets it come back", async () => {
  relay = await startRelay();
  const { peer: first, code } = await worker();
  const { code: other } = await worker("cd".repeat(32));
  expect(other).not.toBe(code);
  const again = await worker();
  expect(again.code).toBe(code);
  expect(await first.closed).toBe(4409);
  await studio(code);
  await relay.close();
  relay = await startRelay({ folder: relay.folder });
  expect((await worker()).code).toBe(code);
});

it("refuses unknown codes, and who tries many", async () => {
  relay = await startRelay({ now: () => 0 });
  const { code } = await worker();
  const attempt = async (tried: string): Promise<[unknown, number]> => {
    const peer = await dial("/relay/studio");
    peer.socket.send(JSON.stringify({ type: "pair", code: tried }));
    const { error } = await peer.text();
    return [error, await peer.closed];
  };
  for (let at = 0; at < 10; at++)
    expect(await attempt("0000")).toEqual([expect.objectContaining({ code: "relay.unknown_code" }), 4404]);
  expect(await attempt(code)).toEqual([expect.objectContaining({ code: "live.too_many_tries" }), 4429]);
});

it("ends links that do not speak the protocol", async () => {
  relay = await startRelay();
  for (const [path, first] of [
    ["/relay/worker", "{}"],
    ["/relay/worker", JSON.stringify({ type: "worker", worker_key: "short", name: "x" })],
    ["/relay/studio", "not json"],
    ["/relay/studio", JSON.stringify({ type: "pair", code: "ABCD", token: "x" })],
  ] as const) {
    const peer = await dial(path);
    peer.socket.send(first);
    expect(await peer.closed).toBe(4400);
  }
  for (const bad of ["a text", Buffer.from([1, 2]), packFrame(1, 9, "x"), packFrame(1, KIND.closed, "{}")]) {
    const { peer: box, code } = await worker();
    await studio(code);
    expect((await box.frame()).channel).toBe(1);
    box.socket.send(bad);
    expect(await box.closed).toBe(4400);
  }
  const { code } = await worker();
  const large = await studio(code);
  large.socket.send(Buffer.alloc(FRAME_BYTES + 1));
  expect(await large.closed).toBe(1009);
});

it("does not read a worker on while a studio takes nothing, and goes on where it does", async () => {
  relay = await startRelay();
  const { peer: box, code } = await worker();
  const slow = await studio(code);
  const { channel } = await box.frame();
  slow.socket.pause();
  const [count, size] = [40, 1024 * 1024];
  for (let at = 0; at < count; at++) box.socket.send(packFrame(channel, KIND.binary, Buffer.alloc(size, at)));
  // What the relay holds and what lies in the system's buffers is far less than all of it.
  let before = -1;
  await vi.waitFor(
    () => {
      const now = box.socket.bufferedAmount;
      const steady = now === before;
      before = now;
      expect(steady).toBe(true);
    },
    { interval: 200, timeout: 60_000 },
  );
  expect(before).toBeGreaterThan((count / 2) * size);
  slow.socket.resume();
  for (let at = 0; at < count; at++) expect((await slow.next()).data.equals(Buffer.alloc(size, at))).toBe(true);
});

it("lets a studio go that takes nothing for too long, so that the others go on", async () => {
  relay = await startRelay({ stuck_ms: 0 });
  const { peer: box, code } = await worker();
  const stuck = await studio(code);
  const { channel } = await box.frame();
  const other = await studio(code);
  const { channel: second } = await box.frame();
  stuck.socket.pause();
  for (let at = 0; at < 40; at++) box.socket.send(packFrame(channel, KIND.binary, Buffer.alloc(1024 * 1024)));
  box.socket.send(packFrame(second, KIND.text, "for the other"));
  expect((await other.next()).data.toString()).toBe("for the other");
  const gone = await box.frame();
  expect([gone.channel, gone.kind]).toEqual([channel, KIND.closed]);
});
