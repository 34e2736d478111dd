/**
 * Remote workers: what is known of each, and the commands.
 *
 * Usage:
 *   const workers = useWorkers((s) => s.workers);
 *   useEffect(() => useWorkers.getState().watch(), []);          // keeps them connected while a screen shows them
 *   const { fits } = await useWorkers.getState().preflight({ worker, config, stage, launch });
 * The list is read again whenever the backend says so (stores/pipelines.ts). Actions reject with a NagiError.
 */
import { create } from "zustand";
import { backend, type PreflightRequest, type RemoteWorkerRecord, type WorkerAddress } from "../clients/backend";
import { type ErrorData, toErrorData } from "../shared/errors";
import type { PreflightResult } from "../shared/protocol/remote";

export interface WorkersState {
  readonly loaded: boolean;
  readonly loadError: ErrorData | null;
  /** In the order they were added. */
  readonly workers: readonly RemoteWorkerRecord[];
  load(): Promise<void>;
  /** Reads the list now and every half minute, which keeps the workers connected; returns a function that ends it. */
  watch(): () => void;
  add(address: WorkerAddress): Promise<RemoteWorkerRecord>;
  remove(id: string): Promise<void>;
  preflight(request: PreflightRequest): Promise<PreflightResult>;
  /** What a run's process wrote, from byte `offset` on. */
  log(runId: string, offset: number): Promise<{ readonly text: string; readonly offset: number }>;
}

/** Milliseconds; a worker stays connected for a minute after it was listed. */
const EVERY = 30_000;

export const useWorkers = create<WorkersState>()((set, get) => ({
  loaded: false,
  loadError: null,
  workers: [],
  async load() {
    try {
      set({ workers: await backend().listWorkers(), loaded: true, loadError: null });
    } catch (error) {
      set({ loaded: true, loadError: toErrorData(error) });
    }
  },
  watch() {
    void get().load();
    const timer = setInterval(() => void get().load(), EVERY);
    return () => clearInterval(timer);
  },
  async add(address) {
    const added = await backend().addWorker(address);
    await get().load();
    return added;
  },
  async remove(id) {
    await backend().removeWorker(id);
    await get().load();
  },
  preflight: (request) => backend().preflight(request),
  log: (runId, offset) => backend().workerLog(runId, offset),
}));

/** The name of a worker; its id where it is no longer known. */
export const workerName = (workers: readonly RemoteWorkerRecord[], id: string): string =>
  workers.find((worker) => worker.id === id)?.name ?? id;
