/** What the relay does with messages, sizes and pages that nobody of ours sends. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import WebSocket from "ws";
import { HOST_FRAME_BYTES, RATER_FRAME_BYTES, readCode, showCode } from "../../src/shared/protocol/live";
import { Random } from "../../src/shared/stats/random";
import { addressGroup, Guesses } from "./guesses";
import { freshFolder, makeSession, type RunningRelay, startRelay } from "./harness";
import { type Door, originAllowed } from "./upgrade";

// Sockets and disks of a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const KEY = "ab".repeat(32);
const SECRET = "cd".repeat(32);
const session = makeSession();
let relay: RunningRelay;
let code = "";

interface Talk {
  send(data: string | Buffer): void;
  /** The next text. */
  next(): Promise<Record<string, unknown>>;
  readonly closed: Promise<number>;
  readonly socket: WebSocket;
}

/** A socket to the relay; rejects with the HTTP status where the handshake is refused. */
function talk(path: string, headers: Record<string, string> = {}): Promise<Talk> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${relay.port}${path}`, { headers });
    const texts: Record<string, unknown>[] = [];
    const waiting: ((text: Record<string, unknown>) => void)[] = [];
    socket.on("message", (data) => {
      const text = JSON.parse(String(data));
      const first = waiting.shift();
      if (first) first(text);
      else texts.push(text);
    });
    const closed = new Promise<number>((done) => socket.on("close", done));
    socket.on("error", () => undefined);
    socket.on("unexpected-response", (_, response) => reject(new Error(String(response.statusCode))));
    socket.on("open", () =>
      resolve({
        socket,
        closed,
        send: (data) => socket.send(data),
        next: () =>
          new Promise((done) => {
            const first = texts.shift();
            if (first) done(first);
            else waiting.push(done);
          }),
      }),
    );
  });
}

const say = (to: Talk, message: object): void => to.send(JSON.stringify(message));
const join_ = { type: "join", request_id: 1, rater: "花子", rater_secret: SECRET, with_page: true };

beforeAll(async () => {
  relay = await startRelay();
  const host = await talk("/live/host");
  say(host, { type: "host", request_id: 0, host_key: KEY, session });
  code = String((await host.next()).code);
  host.socket.close();
});
afterAll(() => relay.close());

describe("pages and paths", () => {
  const door: Door = {
    public_url: "https://nagi.example.org",
    studio_origins: ["https://lab.example"],
    anyone_hosts: false,
  };

  it("takes live pages of its own server only", async () => {
    for (const path of ["/live", "/live/host"]) {
      await expect(talk(path, { origin: "https://evil.example" })).rejects.toThrow("403");
      await expect(talk(path, { origin: "null" })).rejects.toThrow("403");
      await expect(talk(path, { origin: `http://127.0.0.1:${relay.port + 1}` })).rejects.toThrow("403");
      (await talk(path, { origin: `http://127.0.0.1:${relay.port}` })).socket.close();
    }
    await expect(talk("/relay/worker", { origin: `http://127.0.0.1:${relay.port}` })).rejects.toThrow("403");
    await expect(talk("/relay/studio", { origin: "https://evil.example" })).rejects.toThrow("403");
    for (const path of ["/", "/live/", "/relay", "/ws", `/live/${code}`])
      await expect(talk(path)).rejects.toThrow("404");
  });

  it("knows its public name and named studios", () => {
    const at = "127.0.0.1:4173";
    expect(originAllowed("/live", "https://nagi.example.org", at, door)).toBe(true);
    expect(originAllowed("/live", "http://nagi.example.org", at, door)).toBe(false);
    expect(originAllowed("/live", "https://lab.example", at, door)).toBe(false);
    expect(originAllowed("/live", "http://localhost:4173", at, door)).toBe(false);
    for (const page of ["https://lab.example", "http://localhost:5173", "http://127.0.0.1:4173", "http://[::1]:80"])
      expect(originAllowed("/relay/studio", page, at, door)).toBe(true);
    for (const page of ["https://localhost.evil.example", "https://lab.example.evil", "null", ""])
      expect(originAllowed("/relay/studio", page, at, door)).toBe(false);
  });

  it("lets only this machine make sessions; a proxy's guests are not this machine", async () => {
    for (const headers of [{ "x-forwarded-for": "1.2.3.4" }, { forwarded: "for=1.2.3.4" }, { via: "1.1 proxy" }]) {
      const guest = await talk("/live/host", { ...headers });
      say(guest, { type: "host", request_id: 0, host_key: "ef".repeat(32), session });
      expect(await guest.next()).toMatchObject({ type: "refused", error: { code: "live.hosts_local" } });
      expect(await guest.closed).toBe(4404);
    }
    // Whoever has the key may come from anywhere.
    const host = await talk("/live/host", { "x-forwarded-for": "1.2.3.4" });
    say(host, { type: "attach", request_id: 0, host_key: KEY, session_id: session.id });
    expect(await host.next()).toMatchObject({ type: "hosted", code });
    host.socket.close();
  });

  it("does not answer plain requests with anything it keeps", async () => {
    const status = await new Promise<string>((resolve) => {
      httpRequest({ port: relay.port, path: `/live/${code}` }, (response) => {
        response.setEncoding("utf8").once("data", resolve);
      }).end();
    });
    expect(status).toBe('{"relay":true}');
  });
});

describe("messages", () => {
  it("ends a connection that sends more than its path allows", async () => {
    const rater = await talk("/live");
    rater.send("x".repeat(RATER_FRAME_BYTES + 1));
    expect(await rater.closed).toBe(1009);
    const host = await talk("/live/host");
    host.send(Buffer.alloc(HOST_FRAME_BYTES + 1));
    expect(await host.closed).toBe(1009);
  });

  it("refuses what a rater must not ask", async () => {
    for (const bad of [
      { type: "collect", request_id: 1 },
      { type: "host", request_id: 1, host_key: KEY, session: { id: "x" } },
      { type: "attach", request_id: 1, host_key: KEY, session_id: session.id },
      { type: "vote", request_id: 1, vote: { number: 0, choice: "left", ms: 1 } },
      { ...join_, code, host_key: KEY },
      { ...join_, code: code.toLowerCase() },
      { ...join_, code: "../../etc" },
      { ...join_, code, rater: "   " },
      { ...join_, code, rater_secret: "short" },
    ]) {
      const rater = await talk("/live");
      say(rater, bad);
      expect(await rater.next(), JSON.stringify(bad)).toMatchObject({
        type: "refused",
        error: { code: "live.bad_message" },
      });
      expect(await rater.closed).toBe(4400);
    }
  });

  it("refuses a session that does not fit together", async () => {
    const host = await talk("/live/host");
    say(host, { type: "host", request_id: 7, host_key: "12".repeat(32), session: { ...session, repeats: 5000 } });
    expect(await host.next()).toMatchObject({ type: "refused", request_id: 7, error: { code: "rating.invalid" } });
    host.socket.close();
    expect(readdirSync(join(relay.folder, "live"))).toEqual([code]);
  });

  it("stands any message, and never answers with what is another's", async () => {
    const owner = await talk("/live");
    say(owner, { ...join_, code, rater: "owner-of-votes", rater_secret: "98".repeat(32) });
    await owner.next();
    say(owner, { type: "vote", request_id: 2, vote: { number: 3, choice: "both_bad", ms: 424_242 } });
    expect(await owner.next()).toMatchObject({ type: "ok" });
    const random = Random.seeded(7);
    const seeds = [
      JSON.stringify({ ...join_, code, rater: "fuzzer", rater_secret: "76".repeat(32) }),
      JSON.stringify({ type: "vote", request_id: 3, vote: { number: 1, choice: "left", ms: 10 } }),
      JSON.stringify({ type: "undo", request_id: 4, number: 1 }),
      JSON.stringify({ type: "attach", request_id: 5, host_key: "54".repeat(32), session_id: session.id }),
      JSON.stringify({ type: "collect", request_id: 6 }),
    ];
    const heard: string[] = [];
    for (let round = 0; round < 150; round++) {
      const path = random.below(3) === 0 ? "/live/host" : "/live";
      const one = await talk(path);
      one.socket.on("message", (data) => heard.push(String(data)));
      for (let at = 0; at < 4; at++) {
        const text = seeds[random.below(seeds.length)] ?? "";
        one.send(at === 0 && random.below(2) === 0 ? text : mutate(text, random));
      }
      one.socket.close();
      await one.closed;
    }
    expect(heard.length).toBeGreaterThan(50);
    for (const text of heard) {
      expect(text).not.toContain("owner-of-votes");
      expect(text).not.toContain("424242");
      expect(text).not.toContain("ppo-model");
      expect(text).not.toMatch(/node:|\.ts:|at \w+ \(/);
    }
    say(owner, { type: "vote", request_id: 9, vote: { number: 4, choice: "left", ms: 1 } });
    expect(await owner.next()).toMatchObject({ type: "ok", request_id: 9 });
    owner.socket.close();
  });
});

/** Cut, doubled, other bytes, other values, or bytes instead of text. */
function mutate(text: string, random: Random): string | Buffer {
  const at = random.below(text.length);
  const junk = ['"', "{", "\u0000", "\ud800", "1e999", "null", "-1", "[[[[", "𝄞", "__proto__"][random.below(10)] ?? "";
  const kind = random.below(5);
  if (kind === 0) return text.slice(0, at);
  if (kind === 1) return text.slice(0, at) + junk + text.slice(at);
  if (kind === 2) return text.replaceAll(/\d+/g, () => junk);
  if (kind === 3) return Buffer.from(text.slice(at));
  return text.slice(0, at) + junk + text.slice(at + junk.length);
}

describe("codes", () => {
  it("are read as people type them", () => {
    for (const typed of ["ABCD-EFGH", "abcdefgh", " abcd efgh ", "ＡＢＣＤ－ＥＦＧＨ", "abcd—efgh"])
      expect(readCode(typed)).toBe("ABCDEFGH");
    for (const typed of ["", "ABCD", "ABCD-EFG0", "ABCD-EFGHJ", "../ABCDE", "ABCDEFGI"])
      expect(readCode(typed)).toBe(null);
    expect(readCode(showCode("23456789"))).toBe("23456789");
  });

  it("cannot be tried without end, from one address or from many", () => {
    let now = 0;
    const guesses = new Guesses(() => now);
    const tries = (address: string): number => {
      let count = 0;
      while (count < 5000 && guesses.allowed(address)) {
        guesses.wrong(address);
        count++;
      }
      return count;
    };
    expect(tries("10.0.0.1")).toBe(10);
    expect(guesses.allowed("10.0.0.2")).toBe(true);
    now += 60_000;
    expect(tries("10.0.0.1")).toBe(10);
    const all = Array.from({ length: 300 }, (_, at) => tries(`10.1.${at >> 8}.${at & 255}`));
    expect(all.reduce((sum, count) => sum + count, 0)).toBeLessThan(1001);
    expect(tries("10.9.9.9")).toBe(0);
    now += 60_000;
    expect(guesses.allowed("10.9.9.9")).toBe(true);
  });

  it("count a subscriber's IPv6 addresses as one", () => {
    expect(addressGroup("2001:db8:1:2:aaaa::1")).toBe(addressGroup("2001:db8:1:2::9"));
    expect(addressGroup("2001:db8:1:2::1")).not.toBe(addressGroup("2001:db8:1:3::1"));
    expect(addressGroup("::ffff:10.0.0.1")).toBe("10.0.0.1");
  });
});

describe("the folder", () => {
  it("belongs to one relay at a time, and to the next after a crash", async () => {
    const taken = freshFolder();
    writeFileSync(join(taken, "relay.lock"), String(process.ppid));
    await expect(startRelay({ folder: taken })).rejects.toThrow(/another relay/);
    writeFileSync(join(taken, "relay.lock"), "2147483646");
    const next = await startRelay({ folder: taken });
    await next.close();
    expect(existsSync(join(taken, "relay.lock"))).toBe(false);
  });

  it("keeps what it cannot read, says so, and starts", async () => {
    const folder = freshFolder();
    mkdirSync(join(folder, "live", "ABCDEFGH"), { recursive: true });
    writeFileSync(join(folder, "live", "ABCDEFGH", "session.json"), "{}");
    mkdirSync(join(folder, "live", ".gone-ABCDEFGJ"));
    const said: string[] = [];
    const next = await startRelay({ folder, say: (line) => said.push(line) });
    await next.close();
    expect(said).toHaveLength(1);
    expect(said[0]).toContain("ABCDEFGH");
    expect(readdirSync(join(folder, "live"))).toEqual(["ABCDEFGH"]);
  });
});
