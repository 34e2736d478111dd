import { expose } from "comlink";
import { afterEach, describe, expect, it } from "vitest";
import { NagiError } from "../shared/errors";
import type { RunEvent } from "../shared/protocol/events";
import { type StudioChange, studioChange } from "../shared/protocol/library";
import { createLocalBackend } from "./local";

const log = (seq: number): RunEvent => ({ type: "log", step: seq, metrics: {}, run_id: "r", seq, time: 0 });

/** What the other side of a worker does in these tests. */
interface Api {
  connect(base: string): Promise<void>;
  [method: string]: (...values: never[]) => Promise<unknown>;
}

/** A Worker whose other end lives in this thread. */
class ThreadlessWorker extends EventTarget implements Worker {
  onmessage: Worker["onmessage"] = null;
  onmessageerror: Worker["onmessageerror"] = null;
  onerror: Worker["onerror"] = null;
  readonly #channel = new MessageChannel();

  constructor(api: Api) {
    super();
    expose(api, this.#channel.port2);
    this.#channel.port1.onmessage = ({ data }) => void this.dispatchEvent(new MessageEvent("message", { data }));
  }

  postMessage(message: unknown, options?: Transferable[] | StructuredSerializeOptions): void {
    this.#channel.port1.postMessage(message, Array.isArray(options) ? options : (options?.transfer ?? []));
  }

  terminate(): void {
    this.#channel.port1.close();
    this.#channel.port2.close();
  }

  crash(message: string): void {
    this.dispatchEvent(Object.assign(new Event("error", { cancelable: true }), { message }));
  }
}

const started: ThreadlessWorker[] = [];

function start(api: Omit<Api, "connect"> & { connect?: Api["connect"] }) {
  const crashes: NagiError[] = [];
  const bases: string[] = [];
  const connect = async (base: string) => void bases.push(base);
  const backend = createLocalBackend({
    base: "http://localhost/studio/",
    onCrash: (error) => void crashes.push(error),
    createWorker: () => {
      const worker = new ThreadlessWorker({ connect, ...api });
      started.push(worker);
      return worker;
    },
  });
  return { backend, crashes, bases };
}

async function errorOf(promise: Promise<unknown>): Promise<NagiError> {
  const error = await promise.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (error instanceof NagiError) return error;
  throw new Error(`no NagiError: ${String(error)}`);
}

afterEach(() => {
  for (const worker of started.splice(0)) worker.terminate();
});

describe("createLocalBackend", () => {
  it("starts the worker with the first call and tells it where the public files are", async () => {
    const { backend, bases } = start({ listRuns: async () => [] });
    expect(started.length).toBe(0);
    await Promise.all([backend.listRuns(), backend.listRuns()]);
    expect(started.length).toBe(1);
    expect(bases).toEqual(["http://localhost/studio/"]);
  });

  it("passes errors on with code and details", async () => {
    const { backend } = start({
      pause: async () => {
        throw new NagiError("storage.busy", "another tab", { what: "run", name: "r" });
      },
    });
    const error = await errorOf(backend.pause("r"));
    expect(error.toData()).toEqual({
      code: "storage.busy",
      message: "another tab",
      details: { what: "run", name: "r" },
    });
  });

  it("fails waiting calls when the worker crashes, and starts another for the next call", async () => {
    let calls = 0;
    const { backend, crashes } = start({
      listRuns: () => (calls++ === 0 ? new Promise<never>(() => undefined) : Promise.resolve([])),
    });
    const waiting = errorOf(backend.listRuns());
    while (calls === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    started[0]?.crash("out of memory");
    const error = await waiting;
    expect(error.code).toBe("internal");
    expect(error.message).toContain("out of memory");
    expect(crashes).toEqual([error]);
    expect(await backend.listRuns()).toEqual([]);
    expect(started.length).toBe(2);
  });

  it("carries subscriptions over to the new worker without losing or repeating an event", async () => {
    const asked: number[] = [];
    const { backend } = start({
      listRuns: async () => [],
      subscribe: async (_runId: string, since: number, listener: (events: RunEvent[]) => Promise<void>) => {
        asked.push(since);
        await listener([log(since), log(since + 1)]);
        return asked.length;
      },
      unsubscribe: async (id: number) => void asked.push(-id),
    });
    const seen: number[] = [];
    const end = await backend.events("r", 0, (events) => void seen.push(...events.map((event) => event.seq)));
    expect(seen).toEqual([0, 1]);
    started[0]?.crash("gone");
    await backend.listRuns();
    while (seen.length < 4) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(seen).toEqual([0, 1, 2, 3]);
    end();
    while (asked.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(asked).toEqual([0, 2, -2]);
  });

  it("tells of changes, also after a crash, and of everything once the new worker is there", async () => {
    const listeners: ((change: StudioChange) => Promise<void>)[] = [];
    const { backend } = start({
      listRuns: async () => [],
      watch: async (listener: (change: StudioChange) => Promise<void>) => void listeners.push(listener),
      subscribe: async () => 1,
    });
    const seen: StudioChange[] = [];
    const more: StudioChange[] = [];
    const end = await backend.changes((change) => void seen.push(change));
    await backend.changes((change) => void more.push(change));
    expect(listeners.length).toBe(1);
    await listeners[0]?.("artefacts");
    expect([seen, more]).toEqual([["artefacts"], ["artefacts"]]);
    end();
    started[0]?.crash("gone");
    await backend.listRuns();
    while (more.length < 1 + studioChange.options.length) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(more.slice(1).sort()).toEqual([...studioChange.options].sort());
    expect(listeners.length).toBe(2);
    await listeners[1]?.("pipelines");
    expect(more.length).toBe(2 + studioChange.options.length);
    expect(seen).toEqual(["artefacts"]);
  });

  it("tries a failed connection again with the next call", async () => {
    let attempts = 0;
    const { backend } = start({
      connect: async () => {
        if (attempts++ === 0) throw new NagiError("storage.unavailable", "denied", { message: "denied" });
      },
      listRuns: async () => [],
    });
    expect((await errorOf(backend.listRuns())).code).toBe("storage.unavailable");
    expect(await backend.listRuns()).toEqual([]);
  });
});
