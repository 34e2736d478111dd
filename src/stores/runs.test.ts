import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { provideBackend, type StudioBackend } from "../clients/backend";
import { EMPTY_BACKEND } from "../clients/scripted";
import { NagiError } from "../shared/errors";
import { DEFAULT_RUN } from "../shared/protocol/defaults";
import type { RunEvent, RunEventBody } from "../shared/protocol/events";
import type { RunRecord } from "../shared/protocol/run";
import { useRuns } from "./runs";

type Listener = (events: readonly RunEvent[]) => void;

const record = (run_id: string, created: number, state: RunRecord["state"] = "running"): RunRecord => ({
  run_id,
  config: DEFAULT_RUN,
  stage: "reward",
  pipeline_id: null,
  place: null,
  inputs: { model: "bundled:nagi-base" },
  artefact: null,
  state,
  error: null,
  created,
  seconds: 0,
  step: 0,
  total_steps: 0,
  checkpoint_step: null,
  adapter: "",
  version: "test",
  metrics: {},
});

/** A backend whose runs are plain data; events are pushed by the test. */
class ScriptedBackend {
  records: RunRecord[] = [];
  log = new Map<string, RunEvent[]>();
  listeners = new Map<Listener, { runId: string; sinceSeq: number }>();
  failure: NagiError | null = null;

  event(runId: string, body: RunEventBody, deliver = true): RunEvent {
    const events = this.log.get(runId) ?? [];
    const event: RunEvent = { ...body, run_id: runId, seq: events.length, time: 1000 * events.length };
    this.log.set(runId, [...events, event]);
    if (deliver) this.#send(runId, [event]);
    return event;
  }

  #send(runId: string, events: RunEvent[]): void {
    for (const [listener, { runId: watched }] of this.listeners) if (watched === runId) listener(events);
  }

  readonly studio: StudioBackend = {
    ...EMPTY_BACKEND,
    listRuns: async () => {
      if (this.failure !== null) throw this.failure;
      return [...this.records];
    },
    start: async (config) => {
      const made = { ...record("new", 99, "queued"), config };
      this.records.push(made);
      return made;
    },
    pause: async () => undefined,
    resume: async () => undefined,
    stop: async () => undefined,
    checkpoint: async () => undefined,
    delete: async (runId) => {
      this.records = this.records.filter((run) => run.run_id !== runId);
    },
    events: async (runId, sinceSeq, listener) => {
      if (this.failure !== null) throw this.failure;
      this.listeners.set(listener, { runId, sinceSeq });
      const stored = (this.log.get(runId) ?? []).slice(sinceSeq);
      if (stored.length > 0) listener(stored);
      return () => void this.listeners.delete(listener);
    },
    storage: async () => ({ usage: 1, quota: 2, runs: [], artefacts: [] }),
  };
}

let backend: ScriptedBackend;
const runs = () => useRuns.getState();
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

beforeEach(() => {
  backend = new ScriptedBackend();
  provideBackend(backend.studio);
});

afterEach(() => {
  for (const runId of Object.keys(runs().details)) runs().close(runId);
  useRuns.setState({ runs: [], loaded: false, loadError: null });
});

describe("useRuns", () => {
  it("lists runs, the newest first, and watches those that are worked on", async () => {
    backend.records = [record("old", 1, "finished"), record("live", 2), record("paused", 3, "paused")];
    backend.event("live", { type: "log", step: 4, metrics: { loss: 0.5 } });
    await runs().load();
    expect(runs().loaded).toBe(true);
    expect(runs().runs.map((run) => run.run_id)).toEqual(["paused", "live", "old"]);
    expect(Object.keys(runs().details)).toEqual(["live"]);
    expect(runs().details.live?.log.last("loss")).toBe(0.5);
    expect(runs().storage).toEqual({ usage: 1, quota: 2, runs: [], artefacts: [] });
  });

  it("keeps the error when runs cannot be listed, until they can", async () => {
    backend.failure = new NagiError("storage.unavailable", "denied", { message: "m" });
    await runs().load();
    expect(runs()).toMatchObject({ loaded: true, loadError: { code: "storage.unavailable" } });
    backend.failure = null;
    await runs().load();
    expect(runs().loadError).toBeNull();
  });

  it("lets records follow their events", async () => {
    backend.records = [record("live", 1)];
    await runs().load();
    backend.event("live", { type: "log", step: 7, metrics: { loss: 0.4 } });
    expect(runs().runs[0]).toMatchObject({ step: 7 });
    backend.event("live", { type: "checkpoint", step: 7, bytes: 10 });
    backend.event("live", { type: "state", state: "paused", error: null });
    expect(runs().runs[0]).toMatchObject({ state: "paused", checkpoint_step: 7 });
    await settled();
    expect(runs().runs[0]).toMatchObject({ state: "paused", checkpoint_step: 7 });
  });

  it("asks again from the first missing event", async () => {
    backend.records = [record("live", 1)];
    await runs().load();
    backend.event("live", { type: "log", step: 1, metrics: { loss: 1 } });
    backend.event("live", { type: "log", step: 2, metrics: { loss: 2 } }, false);
    backend.event("live", { type: "log", step: 3, metrics: { loss: 3 } });
    await settled();
    expect([...(runs().details.live?.log.column("loss") ?? [])]).toEqual([1, 2, 3]);
    expect([...backend.listeners.values()]).toEqual([{ runId: "live", sinceSeq: 1 }]);
    backend.event("live", { type: "log", step: 4, metrics: { loss: 4 } });
    expect(runs().details.live?.log.length).toBe(4);
  });

  it("shares one subscription among several open() calls and ends it with close()", async () => {
    backend.records = [record("old", 1, "finished")];
    backend.event("old", { type: "log", step: 1, metrics: { loss: 1 } });
    await Promise.all([runs().open("old"), runs().open("old")]);
    expect(backend.listeners.size).toBe(1);
    runs().close("old");
    await settled();
    expect(backend.listeners.size).toBe(0);
    expect(runs().details.old).toBeUndefined();
    await runs().open("old");
    expect(runs().details.old?.log.length).toBe(1);
  });

  it("shows nothing of a run that is not there", async () => {
    backend.failure = new NagiError("run.not_found", "none", { run_id: "x" });
    await expect(runs().open("x")).rejects.toThrow("none");
    expect(runs().details).toEqual({});
  });

  it("starts a run and watches it, deletes a run and forgets it", async () => {
    const made = await runs().start(DEFAULT_RUN);
    expect(runs().runs.map((run) => run.run_id)).toEqual([made.run_id]);
    expect(backend.listeners.size).toBe(1);
    await runs().delete(made.run_id);
    await settled();
    expect(runs().runs).toEqual([]);
    expect(backend.listeners.size).toBe(0);
  });
});
