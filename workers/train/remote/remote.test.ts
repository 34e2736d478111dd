/** The studio's side of a worker, over real sockets that are cut at random. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import { artefactId, hashBytes } from "../../../src/shared/protocol/artefact";
import type { RunConfig } from "../../../src/shared/protocol/config";
import { DEFAULT_RUN, defaultStage } from "../../../src/shared/protocol/defaults";
import type { RunEvent } from "../../../src/shared/protocol/events";
import { DEFAULT_LAUNCH, type StagePlace } from "../../../src/shared/protocol/launch";
import { Random } from "../../../src/shared/stats/random";
import { MemoryDirectory } from "../../engine/io/memory-directory";
import { Folder } from "../../engine/io/opfs";
import { MapSource } from "../../engine/io/source";
import { ArtefactStore } from "../artefact-store";
import { type Channel, EventHub } from "../event-hub";
import { Runs } from "../runs";
import { codeOf, MemoryLocks, until } from "../scripted";
import { StudioShelf } from "../shelf";
import { Remotes } from "./remotes";
import { pullFiles } from "./results";
import { ScriptedWorker, STEPS, TOKEN } from "./scripted-worker";
import { RemoteSide } from "./side";
import type { Dial } from "./wire";

const STAGE = defaultStage("sft", []);
const CONFIG: RunConfig = { ...DEFAULT_RUN, stages: [STAGE] };
const PLACE: StagePlace = { at: "worker", worker: "w", launch: DEFAULT_LAUNCH };
/** More than three pieces. */
const BASE = new Uint8Array(3_500_000).map((_, index) => index % 251);
const ROWS = '{"sentence": "良い", "label": "positive"}\n{"sentence": "悪い", "label": "negative"}\n';

const bytesOf = (data: RawData): Uint8Array => {
  if (Array.isArray(data)) throw new Error("fragments");
  return new Uint8Array(data);
};

const dial: Dial = (url, listener) => {
  const socket = new WebSocket(url);
  socket.on("open", () => listener.opened());
  socket.on("message", (data, isBinary) =>
    listener.received(isBinary ? bytesOf(data) : new TextDecoder().decode(bytesOf(data))),
  );
  socket.on("close", (code, reason) => listener.closed(code, reason.toString()));
  socket.on("error", () => undefined);
  return { send: (frame) => socket.send(frame), close: () => socket.close() };
};

/** Serves a scripted worker; cuts connections after a random number of frames in either direction. */
class Wires {
  cuts = 0;
  cut = 0;
  readonly #random = Random.seeded(5);
  #server = new WebSocketServer({ port: 0 });

  constructor(worker: ScriptedWorker) {
    this.#listen(worker);
  }

  get url(): string {
    const address = this.#server.address();
    if (typeof address === "string" || address === null) throw new Error("not listening");
    return `ws://127.0.0.1:${address.port}/ws`;
  }

  async close(): Promise<void> {
    for (const client of this.#server.clients) client.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #listen(worker: ScriptedWorker): void {
    this.#server.on("connection", (socket) => {
      let left = this.cuts-- > 0 ? 1 + this.#random.below(16) : Number.POSITIVE_INFINITY;
      /** Whether the frame comes through. */
      const through = (): boolean => {
        if (left > 0) left--;
        if (left === 0 && socket.readyState === socket.OPEN) {
          this.cut++;
          socket.terminate();
        }
        return left > 0;
      };
      const { received, closed } = worker.connect({
        send: (frame) => void (through() && socket.send(frame)),
        close: (code) => socket.close(code),
      });
      socket.on("message", (data, isBinary) => {
        if (!through()) return;
        received(isBinary ? bytesOf(data) : new TextDecoder().decode(bytesOf(data)));
      });
      socket.on("close", closed);
    });
  }
}

/** BroadcastChannels of one name: what one tab posts, the others receive. */
class Ether {
  readonly #tabs: ((data: unknown) => void)[] = [];

  channel(): Channel {
    let own: ((data: unknown) => void) | null = null;
    return {
      postMessage: (message) => {
        for (const tab of this.#tabs) if (tab !== own) tab(structuredClone(message));
      },
      addEventListener: (_, listener) => {
        own = (data) => listener({ data });
        this.#tabs.push(own);
      },
    };
  }
}

let worker: ScriptedWorker;
let wires: Wires;
let directory: MemoryDirectory;
let locks: MemoryLocks;
let ether: Ether;

async function tab() {
  const root = new Folder(directory, "");
  const free = async () => directory.disk.free;
  const hub = new EventHub(ether.channel());
  const tools = { dial, changed: () => undefined, pause: () => new Promise<void>((resolve) => setTimeout(resolve, 1)) };
  const remotes = await Remotes.open(await root.folder("remotes"), locks, tools, () => undefined);
  const artefacts = new ArtefactStore(
    await root.folder("artefacts"),
    locks,
    free,
    () => undefined,
    (record, id, files) => pullFiles(remotes.get(id), record, files),
  );
  const model = async (name: string) => new MapSource(name, new Map([["model.safetensors", BASE]]));
  const data = async (name: string) => ({ name: `${name}.jsonl`, bytes: new TextEncoder().encode(ROWS) });
  const shelf = new StudioShelf({ model, data }, artefacts);
  const inputs = { shelf, artefacts, data };
  const runs = new Runs(
    await root.folder("runs"),
    {
      locks,
      hub,
      shelf,
      artefacts,
      data,
      train: () => Promise.reject(new Error("nothing trains here")),
      clock: () => performance.now(),
      remote: new RemoteSide(remotes, hub, inputs, artefacts),
    },
    free,
    "test",
  );
  const events: RunEvent[] = [];
  const watch = (runId: string) => runs.subscribe(runId, 0, (batch) => void events.push(...batch));
  const start = (run_id = "run") =>
    runs.startStage({
      run_id,
      config: CONFIG,
      stage: STAGE.id,
      pipeline_id: null,
      place: PLACE,
      inputs: { model: "bundled:base" },
    });
  return { runs, remotes, artefacts, events, watch, start };
}

type Tab = Awaited<ReturnType<typeof tab>>;

const connected = async (): Promise<Tab> => {
  const made = await tab();
  await made.remotes.add({ via: "direct", url: wires.url, token: TOKEN });
  return made;
};

const hashOf = async (file: Blob | undefined) => hashBytes(new Uint8Array((await file?.arrayBuffer()) ?? []));
const stateOf = async ({ runs }: Tab, runId = "run") => (await runs.record(runId)).state;
/** Waits for the state, then for whoever follows the run. */
const rested = (one: Tab, state: string) =>
  until(async () => (await stateOf(one)) === state).then(() => one.runs.rest("run"));
const logged = async ({ runs }: Tab): Promise<RunEvent[]> =>
  (await runs.eventLog("run"))
    .trimEnd()
    .split("\n")
    .map((line): RunEvent => JSON.parse(line));

/** The log is gapless and ends with exactly what the worker has said. */
async function expectMirrored(one: Tab): Promise<void> {
  const events = await logged(one);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index));
  const said = worker.runs.get("run")?.events ?? [];
  const offset = events.length - said.length;
  expect(events.slice(offset)).toEqual(said.map((event) => ({ ...event, seq: event.seq + offset })));
  expect(said.filter(({ type }) => type === "log").length).toBeGreaterThanOrEqual(STEPS);
}

beforeEach(() => {
  worker = new ScriptedWorker();
  wires = new Wires(worker);
  directory = new MemoryDirectory("");
  locks = new MemoryLocks();
  ether = new Ether();
});

afterEach(() => wires.close());

describe("a run on a worker", () => {
  it("looks like one of here: its curve, its result, its place in the list", async () => {
    const one = await connected();
    await one.start();
    await one.watch("run");
    const record = await rested(one, "finished");
    await expectMirrored(one);
    expect(record).toMatchObject({ step: STEPS, metrics: { loss: 0 }, place: PLACE, state: "finished" });
    await until(async () => one.events.length === (await logged(one)).length);
    expect(one.events).toEqual(await logged(one));
    const made = await one.artefacts.files(record.artefact ?? "");
    expect(await hashOf(made.get("a/weights"))).toBe(await hashBytes(worker.made));
    expect(worker.starts).toHaveLength(1);
    const { parents, artefact_name, data } = worker.starts[0] ?? {};
    expect(parents?.slice(0, 2)).toEqual([
      { slot: "model", id: "bundled:base" },
      { slot: "data.train", id: CONFIG.data.train },
    ]);
    expect(artefact_name).toBe(`${CONFIG.name}/${STAGE.id}`);
    expect(new TextDecoder().decode(worker.blobs.get(data?.train ?? "")?.bytes)).toBe(
      '{"sentence":"良い","label":"positive","review_id":null}\n{"sentence":"悪い","label":"negative","review_id":null}\n',
    );
  });

  it("loses nothing and takes nothing twice over fifty connections cut at random", async () => {
    const one = await connected();
    wires.cuts = 50;
    worker.steps = 250;
    // The worker is never far ahead, so that every cut falls among events that matter.
    worker.gate = 2;
    await one.start();
    await one.watch("run");
    const raise = setInterval(async () => {
      worker.gate = (await one.runs.record("run")).step + 2;
    }, 1);
    try {
      await rested(one, "finished");
    } finally {
      clearInterval(raise);
    }
    const record = await one.runs.rest("run");
    await expectMirrored(one);
    await until(async () => one.events.length === (await logged(one)).length);
    expect(one.events).toEqual(await logged(one));
    await until(async () => (await one.artefacts.placeOf(record.artefact ?? "")) === null);
    expect(new Set(worker.starts.map(({ run_id }) => run_id)).size).toBe(1);
    expect(wires.cut).toBe(50);
    // Pieces that were on their way when a connection died are sent again, whole blobs are not.
    expect(worker.written).toBeLessThan(3 * BASE.length);
  });

  it("pauses, goes on and stops there", async () => {
    const one = await connected();
    worker.gate = 10;
    await one.start();
    await until(async () => (await one.runs.record("run")).step === 10);
    await one.runs.pause("run");
    expect(await one.runs.record("run")).toMatchObject({ state: "paused", step: 10, checkpoint_step: 10 });
    expect(await codeOf(one.runs.pause("run"))).toBe("run.bad_command");
    worker.gate = 20;
    await one.runs.resume("run");
    await until(async () => (await one.runs.record("run")).step === 20);
    await one.runs.stop("run");
    expect(await stateOf(one)).toBe("stopped");
    expect(worker.runs.get("run")?.record.state).toBe("stopped");
    expect((await logged(one)).filter(({ type }) => type === "resumed")).toHaveLength(1);
  });

  it("goes on while no tab is open, and the next tab has the whole curve", async () => {
    const one = await connected();
    worker.gate = 15;
    await one.start();
    await until(async () => (await one.runs.record("run")).step === 15);
    // The tab dies: its locks and files are freed, its connection is closed.
    locks = new MemoryLocks();
    directory.closeAll();
    one.remotes.find("w")?.close();
    worker.gate = Number.POSITIVE_INFINITY;
    await until(() => worker.runs.get("run")?.record.state === "finished");
    const two = await tab();
    expect((await two.runs.list()).map(({ run_id }) => run_id)).toEqual(["run"]);
    await rested(two, "finished");
    await expectMirrored(two);
    expect((await two.runs.record("run")).artefact).not.toBeNull();
  });

  it("is followed by one of two tabs; the other sees the same and may pause it", async () => {
    const one = await connected();
    const two = await tab();
    worker.gate = 12;
    await one.start();
    await two.watch("run");
    await until(async () => (await two.runs.find("run"))?.state === "running");
    await until(() => two.events.some((event) => event.type === "log" && event.step === 12));
    await two.runs.pause("run");
    await rested(one, "paused");
    worker.gate = Number.POSITIVE_INFINITY;
    await until(async () => (await codeOf(two.runs.resume("run"))) !== "storage.busy");
    await rested(two, "finished");
    await expectMirrored(two);
    await until(async () => two.events.length === (await logged(two)).length);
    expect(two.events).toEqual(await logged(two));
  });

  it("begins anew, and says so, where the worker has forgotten it", async () => {
    const one = await connected();
    worker.gate = 8;
    await one.start();
    await until(async () => (await one.runs.record("run")).step === 8);
    await one.runs.pause("run");
    worker.forget();
    worker.gate = Number.POSITIVE_INFINITY;
    await one.runs.resume("run");
    await rested(one, "finished");
    await expectMirrored(one);
    expect((await logged(one)).filter((event) => event.type === "resumed" && event.step === 0)).toHaveLength(1);
  });
});

describe("what a stage has made", () => {
  it("stays on the worker where it is a large model, until somebody needs it", async () => {
    worker.kind = "model";
    const one = await connected();
    await one.start();
    const id = (await rested(one, "finished")).artefact ?? "";
    expect(await one.artefacts.placeOf(id)).toBeNull();
    await one.artefacts.remove(id);
    const there = worker.artefacts.get(id);
    if (there === undefined) throw new Error("nothing was made");
    await one.artefacts.keep(there, "w");
    expect(await one.artefacts.places()).toEqual({ [id]: "w" });
    expect((await one.artefacts.list()).map((artefact) => artefact.id)).toEqual([id]);
    const { files } = await one.artefacts.open(id);
    expect(await files.read("a/weights", 0, 3)).toEqual(new Uint8Array([7, 7, 7]));
    expect(await one.artefacts.places()).toEqual({});
  });

  it("is not sent again to the worker that has it, and is to another", async () => {
    const one = await connected();
    await one.start();
    await rested(one, "finished");
    const before = worker.written;
    await one.start("again");
    await until(async () => (await stateOf(one, "again")) === "finished");
    expect(worker.written).toBe(before);
  });

  it("is refused where its files are not what its record says", async () => {
    const one = await connected();
    await one.start();
    const made = await rested(one, "finished");
    const there = worker.artefacts.get(made.artefact ?? "");
    if (there === undefined) throw new Error("nothing was made");
    const { id: _, ...manifest } = { ...there, name: "another" };
    const record = { id: await artefactId(manifest), ...manifest };
    const [file] = record.files;
    worker.blobs.set(file?.sha256 ?? "", { bytes: new Uint8Array(file?.bytes ?? 0), total: file?.bytes ?? 0 });
    await one.artefacts.keep(record, "w");
    expect(await codeOf(one.artefacts.pull(record.id))).toBe("storage.corrupt");
    worker.blobs.set(file?.sha256 ?? "", { bytes: worker.made, total: worker.made.length });
    await one.artefacts.pull(record.id);
    expect(await one.artefacts.places()).toEqual({});
  });
});

describe("workers", () => {
  it("are added once they have answered, and forgotten when removed", async () => {
    const one = await connected();
    expect(one.remotes.list().map(({ id, name, url }) => ({ id, name, url }))).toEqual([
      { id: "w", name: "box", url: wires.url },
    ]);
    const two = await tab();
    await until(() => two.remotes.list()[0]?.state === "connected");
    expect(await codeOf(one.remotes.add({ via: "direct", url: wires.url, token: "wrong" }))).toBe("worker.token");
    expect(await codeOf(one.remotes.add({ via: "direct", url: "ws://127.0.0.1:9", token: TOKEN }))).toBe(
      "worker.unreachable",
    );
    expect(await codeOf(one.remotes.add({ via: "direct", url: "mailto:a", token: TOKEN }))).toBe("worker.unreachable");
    await one.remotes.remove("w");
    expect(one.remotes.list()).toEqual([]);
    expect(await codeOf(Promise.resolve().then(() => one.remotes.get("w")))).toBe("worker.unknown");
  });

  it("tell a run that cannot reach them why, and let it leave", async () => {
    const one = await connected();
    await wires.close();
    await one.start();
    await until(async () => (await stateOf(one)) === "queued");
    await one.runs.pause("run");
    expect(await stateOf(one)).toBe("paused");
    expect(await codeOf(one.remotes.get("w").ask({ name: "status" }))).toBe("worker.unreachable");
    wires = new Wires(worker);
    await one.remotes.add({ via: "direct", url: wires.url, token: TOKEN });
    await one.runs.resume("run");
    await rested(one, "finished");
    await expectMirrored(one);
  });
});
