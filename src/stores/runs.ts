/**
 * Runs: what is listed, and the folded events of those that are watched.
 *
 * Usage:
 *   const runs = useRuns((s) => s.runs);                     // newest first; records follow their events
 *   const detail = useRuns((s) => s.details[runId]);         // undefined until open(); re-renders at most ~10 times a second
 *   useEffect(() => { void useRuns.getState().open(runId); }, [runId]);
 *   detail.log.column("loss")                                // series.ts; read it again when detail.revision changes
 *   secondsLeft(detail)                                      // run-detail.ts
 * Call `load()` once at start. Queued, preparing and running runs are opened by themselves. Actions reject with a NagiError.
 */
import { create } from "zustand";
import { backend, type StorageUse } from "../clients/backend";
import { askToPersist } from "../persist/storage";
import { type ErrorData, toErrorData } from "../shared/errors";
import type { RunConfig } from "../shared/protocol/config";
import type { RunEvent, ScoredSample } from "../shared/protocol/events";
import type { RunRecord } from "../shared/protocol/run";
import { applyEvents, emptyDetail, type RunDetail } from "./run-detail";

export interface ScoredText {
  readonly reward: number;
  readonly probability: number;
  readonly tokens: number;
  readonly truncated: boolean;
}

export interface RunsState {
  /** False until the first load() has settled. */
  readonly loaded: boolean;
  readonly loadError: ErrorData | null;
  readonly runs: readonly RunRecord[];
  readonly details: Readonly<Record<string, RunDetail>>;
  readonly storage: StorageUse | null;
  load(): Promise<void>;
  start(config: RunConfig): Promise<RunRecord>;
  pause(runId: string): Promise<void>;
  resume(runId: string): Promise<void>;
  stop(runId: string): Promise<void>;
  checkpoint(runId: string): Promise<void>;
  delete(runId: string): Promise<void>;
  /** Subscribes to the run's events, the stored ones first; resolves when those have been asked for. Safe to call again. */
  open(runId: string): Promise<void>;
  /** Ends the subscription and frees the curves. */
  close(runId: string): void;
  score(runId: string, texts: readonly string[]): Promise<ScoredText[]>;
  scoreSplit(runId: string, split: "validation" | "test"): Promise<ScoredSample[]>;
  exportModel(runId: string): Promise<Blob>;
  /** All stored events, one JSON object a line. */
  exportEvents(runId: string): Promise<string>;
  refreshStorage(): Promise<void>;
}

const ACTIVE = new Set<RunRecord["state"]>(["queued", "preparing", "running"]);

/** Subscriptions by run; the promise is there from the first call so that two open() calls share one. */
const subscriptions = new Map<string, Promise<() => void>>();

export const useRuns = create<RunsState>()((set, get) => {
  const receive = (runId: string, events: readonly RunEvent[]): void => {
    const before = get().details[runId];
    if (before === undefined) return;
    const { detail, gap } = applyEvents(before, events);
    set((state) => ({
      details: { ...state.details, [runId]: detail },
      runs: state.runs.map((run) => (run.run_id === runId ? followRecord(run, detail) : run)),
    }));
    if (gap) void resubscribe(runId);
    if (events.some((event) => event.type === "state" || event.type === "checkpoint" || event.type === "result"))
      void refreshRuns();
  };

  const subscribe = (runId: string, sinceSeq: number): Promise<() => void> => {
    const pending = backend().events(runId, sinceSeq, (events) => receive(runId, events));
    subscriptions.set(runId, pending);
    pending.catch(() => {
      if (subscriptions.get(runId) === pending) subscriptions.delete(runId);
    });
    return pending;
  };

  const resubscribe = async (runId: string): Promise<void> => {
    const old = subscriptions.get(runId);
    const detail = get().details[runId];
    if (detail === undefined) return;
    const renewed = subscribe(runId, detail.lastSeq + 1);
    (await old)?.();
    await renewed;
  };

  const refreshRuns = async (): Promise<void> => {
    const records = await backend().listRuns();
    records.sort((a, b) => b.created - a.created);
    const { details } = get();
    set({ runs: records.map((run) => followRecord(run, details[run.run_id])) });
  };

  const afterwards = async (command: Promise<void>): Promise<void> => {
    await command;
    await refreshRuns();
  };

  return {
    loaded: false,
    loadError: null,
    runs: [],
    details: {},
    storage: null,
    async load() {
      try {
        await refreshRuns();
        set({ loaded: true, loadError: null });
        for (const run of get().runs) if (ACTIVE.has(run.state)) await get().open(run.run_id);
        await get().refreshStorage();
      } catch (error) {
        set({ loaded: true, loadError: toErrorData(error) });
      }
    },
    async start(config) {
      void askToPersist();
      const record = await backend().start(config);
      await refreshRuns();
      await get().open(record.run_id);
      return record;
    },
    pause: (runId) => afterwards(backend().pause(runId)),
    async resume(runId) {
      await get().open(runId);
      await afterwards(backend().resume(runId));
    },
    stop: (runId) => afterwards(backend().stop(runId)),
    checkpoint: (runId) => afterwards(backend().checkpoint(runId)),
    async delete(runId) {
      await backend().delete(runId);
      get().close(runId);
      await refreshRuns();
      await get().refreshStorage();
    },
    async open(runId) {
      const existing = subscriptions.get(runId);
      if (existing !== undefined) {
        await existing;
        return;
      }
      set((state) => ({ details: { ...state.details, [runId]: state.details[runId] ?? emptyDetail(runId) } }));
      try {
        await subscribe(runId, (get().details[runId]?.lastSeq ?? -1) + 1);
      } catch (error) {
        // A run that is not there must not look like one that is about to begin.
        get().close(runId);
        throw error;
      }
    },
    close(runId) {
      const subscription = subscriptions.get(runId);
      subscriptions.delete(runId);
      subscription?.then(
        (end) => end(),
        () => undefined,
      );
      set((state) => ({ details: Object.fromEntries(Object.entries(state.details).filter(([id]) => id !== runId)) }));
    },
    score: (runId, texts) => backend().score(runId, texts),
    scoreSplit: (runId, split) => backend().scoreSplit(runId, split),
    exportModel: (runId) => backend().exportModel(runId),
    exportEvents: (runId) => backend().exportEvents(runId),
    async refreshStorage() {
      set({ storage: await backend().storage() });
    },
  };
});

/** The record with what its events say by now, so that lists move without asking the worker. */
function followRecord(run: RunRecord, detail: RunDetail | undefined): RunRecord {
  if (detail === undefined || detail.lastSeq < 0) return run;
  return {
    ...run,
    state: detail.state,
    step: detail.step,
    total_steps: detail.prepared?.total_steps ?? run.total_steps,
    adapter: detail.prepared?.adapter ?? run.adapter,
    checkpoint_step: detail.checkpoints.at(-1)?.step ?? run.checkpoint_step,
    metrics: detail.result?.metrics ?? run.metrics,
  };
}
