/**
 * The backend in this tab: a worker that trains on WebGPU and keeps everything in the browser's storage. A worker that
 * crashes fails the calls that wait for it with a readable error, and the next call starts another one.
 */
import { proxy, type Remote, wrap } from "comlink";
import { installErrorTransfer } from "../shared/comlink-errors";
import { NagiError } from "../shared/errors";
import type { RunEvent } from "../shared/protocol/events";
import { type StudioBackend, type StudioChange, studioChange } from "../shared/protocol/library";
import type { WorkerApi } from "../shared/protocol/worker";

export interface LocalBackendOptions {
  /** URL of the public files, ending in "/"; by default Vite's base. */
  readonly base?: string;
  /** Told when the worker has died; calling `listRuns` afterwards starts a new one and shows its runs as paused. */
  readonly onCrash?: (error: NagiError) => void;
  /** Tests put another worker here. */
  readonly createWorker?: () => Worker;
}

function trainWorker(): Worker {
  return new Worker(new URL("../../workers/train/entry.ts", import.meta.url), { type: "module", name: "nagi-train" });
}

interface Connection {
  readonly worker: Worker;
  readonly remote: Remote<WorkerApi>;
  /** Rejects when the worker dies, never resolves. */
  readonly death: Promise<never>;
  readonly ready: Promise<void>;
  /** Set once somebody wants to know of changes. */
  watching: Promise<void> | null;
}

interface LiveSubscription {
  readonly runId: string;
  readonly listener: (events: readonly RunEvent[]) => void;
  /** seq of the next event that is wanted. */
  next: number;
  /** The worker's number for it, null while it is being made. */
  id: number | null;
}

class WorkerLink {
  #connection: Connection | null = null;
  readonly #subscriptions = new Set<LiveSubscription>();
  readonly #watchers = new Set<(change: StudioChange) => void>();
  /** A worker was told to tell of changes: what its successor missed meanwhile may be anything. */
  #wasWatched = false;

  constructor(private readonly options: LocalBackendOptions) {
    installErrorTransfer();
  }

  /** Calls the worker, started where needed. Rejects with the worker's NagiError, or `internal` when it dies meanwhile. */
  async call<T>(action: (remote: Remote<WorkerApi>) => Promise<T>): Promise<T> {
    const connection = this.#connect();
    await Promise.race([connection.ready, connection.death]);
    return Promise.race([action(connection.remote), connection.death]);
  }

  async subscribe(runId: string, sinceSeq: number, listener: LiveSubscription["listener"]): Promise<() => void> {
    const subscription: LiveSubscription = { runId, listener, next: sinceSeq, id: null };
    this.#subscriptions.add(subscription);
    try {
      await this.call((remote) => this.#attach(remote, subscription));
    } catch (error) {
      this.#subscriptions.delete(subscription);
      throw error;
    }
    return () => {
      this.#subscriptions.delete(subscription);
      const { id } = subscription;
      if (id !== null) this.call((remote) => remote.unsubscribe(id)).catch(() => undefined);
    };
  }

  /** Tells of every change of a list; a worker that is started anew is watched again. */
  async watch(listener: (change: StudioChange) => void): Promise<() => void> {
    this.#watchers.add(listener);
    try {
      // Connecting watches; a worker that runs already is watched once.
      await this.call((remote) => this.#watched(remote));
    } catch (error) {
      this.#watchers.delete(listener);
      throw error;
    }
    return () => void this.#watchers.delete(listener);
  }

  #watched(remote: Remote<WorkerApi>): Promise<void> {
    const connection = this.#connection;
    if (connection?.remote !== remote) return Promise.resolve();
    this.#wasWatched = true;
    connection.watching ??= remote.watch(
      proxy((change: StudioChange) => {
        for (const listener of this.#watchers) listener(change);
      }),
    );
    return connection.watching;
  }

  async #attach(remote: Remote<WorkerApi>, subscription: LiveSubscription): Promise<void> {
    const receive = (events: readonly RunEvent[]): void => {
      if (!this.#subscriptions.has(subscription)) return;
      const last = events.at(-1);
      if (last !== undefined) subscription.next = last.seq + 1;
      subscription.listener(events);
    };
    const id = await remote.subscribe(subscription.runId, subscription.next, proxy(receive));
    subscription.id = id;
    // It was ended before the worker had a number for it.
    if (!this.#subscriptions.has(subscription)) await remote.unsubscribe(id);
  }

  #connect(): Connection {
    if (this.#connection !== null) return this.#connection;
    const worker = (this.options.createWorker ?? trainWorker)();
    const remote = wrap<WorkerApi>(worker);
    const death = new Promise<never>((_, reject) => {
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        const message = event.message || "the worker's script could not be loaded";
        const error = new NagiError(
          "internal",
          `The training worker stopped: ${message}. Runs keep their last checkpoint; resume them.`,
          { message },
        );
        this.#bury(worker);
        reject(error);
        this.options.onCrash?.(error);
      });
    });
    death.catch(() => undefined);
    const ready = remote.connect(this.options.base ?? new URL(import.meta.env.BASE_URL, document.baseURI).href);
    // A connection that failed (storage denied, say) is tried again with the next call.
    ready.catch(() => this.#bury(worker));
    const connection: Connection = { worker, remote, death, ready, watching: null };
    this.#connection = connection;
    void this.#resubscribe(connection);
    return connection;
  }

  /** Subscriptions outlive a worker: the new one goes on where the old one stopped. */
  async #resubscribe({ ready, remote }: Connection): Promise<void> {
    const lost = this.#wasWatched;
    const earlier = [...this.#subscriptions].filter((subscription) => subscription.id !== null);
    for (const subscription of earlier) subscription.id = null;
    try {
      await ready;
      // Runs that died with the old worker become paused while they are listed, before their events are read.
      if (earlier.length > 0) await remote.listRuns();
      for (const subscription of earlier) await this.#attach(remote, subscription);
      if (lost && this.#watchers.size > 0) {
        await this.#watched(remote);
        for (const change of studioChange.options) for (const listener of this.#watchers) listener(change);
      }
    } catch {
      // The call that started this worker fails in the same way and tells.
    }
  }

  #bury(worker: Worker): void {
    worker.terminate();
    if (this.#connection?.worker === worker) this.#connection = null;
  }
}

/** @see StudioBackend; the worker starts with the first call. */
export function createLocalBackend(options: LocalBackendOptions = {}): StudioBackend {
  const link = new WorkerLink(options);
  return {
    listRuns: () => link.call((remote) => remote.listRuns()),
    start: (config) => link.call((remote) => remote.start(config)),
    pause: (runId) => link.call((remote) => remote.pause(runId)),
    resume: (runId) => link.call((remote) => remote.resume(runId)),
    stop: (runId) => link.call((remote) => remote.stop(runId)),
    checkpoint: (runId) => link.call((remote) => remote.checkpoint(runId)),
    delete: (runId) => link.call((remote) => remote.delete(runId)),
    events: (runId, sinceSeq, listener) => link.subscribe(runId, sinceSeq, listener),
    score: (runId, texts) => link.call((remote) => remote.score(runId, texts)),
    scoreSplit: (runId, split) => link.call((remote) => remote.scoreSplit(runId, split)),
    exportModel: (runId) => link.call((remote) => remote.exportModel(runId)),
    inspectDataset: (reference) => link.call((remote) => remote.inspectDataset(reference)),
    inspectModel: (reference) => link.call((remote) => remote.inspectModel(reference)),
    storage: () => link.call((remote) => remote.storage()),
    listArtefacts: () => link.call((remote) => remote.listArtefacts()),
    artefact: (id) => link.call((remote) => remote.artefact(id)),
    exportArtefact: (id) => link.call((remote) => remote.exportArtefact(id)),
    artefactFiles: (id) => link.call((remote) => remote.artefactFiles(id)),
    deleteArtefact: (id) => link.call((remote) => remote.deleteArtefact(id)),
    lineage: (id) => link.call((remote) => remote.lineage(id)),
    generations: (id) => link.call((remote) => remote.generations(id)),
    generate: (model, prompts, settings) => link.call((remote) => remote.generate(model, prompts, settings)),
    scoreArtefact: (id, texts) => link.call((remote) => remote.scoreArtefact(id, texts)),
    listPipelines: () => link.call((remote) => remote.listPipelines()),
    createPipeline: (config, options) => link.call((remote) => remote.createPipeline(config, options)),
    placeStages: (pipelineId, places) => link.call((remote) => remote.placeStages(pipelineId, places)),
    runPipeline: (pipelineId) => link.call((remote) => remote.runPipeline(pipelineId)),
    runPipelineFrom: (pipelineId, stage) => link.call((remote) => remote.runPipelineFrom(pipelineId, stage)),
    pausePipeline: (pipelineId) => link.call((remote) => remote.pausePipeline(pipelineId)),
    stopPipeline: (pipelineId) => link.call((remote) => remote.stopPipeline(pipelineId)),
    deletePipeline: (pipelineId, options) => link.call((remote) => remote.deletePipeline(pipelineId, options)),
    changes: (listener) => link.watch(listener),
    listDatasets: () => link.call((remote) => remote.listDatasets()),
    importDataset: (request) => link.call((remote) => remote.importDataset(request)),
    deleteDataset: (id) => link.call((remote) => remote.deleteDataset(id)),
    listModels: () => link.call((remote) => remote.listModels()),
    importModel: (request) => link.call((remote) => remote.importModel(request)),
    importPreferences: (request) => link.call((remote) => remote.importPreferences(request)),
    exportEvents: (runId) => link.call((remote) => remote.exportEvents(runId)),
    deleteModel: (id) => link.call((remote) => remote.deleteModel(id)),
    listDownloads: () => link.call((remote) => remote.listDownloads()),
    startDownload: (request) => link.call((remote) => remote.startDownload(request)),
    stopDownload: (id) => link.call((remote) => remote.stopDownload(id)),
    removeDownload: (id) => link.call((remote) => remote.removeDownload(id)),
    listWorkers: () => link.call((remote) => remote.listWorkers()),
    addWorker: (address) => link.call((remote) => remote.addWorker(address)),
    removeWorker: (id) => link.call((remote) => remote.removeWorker(id)),
    preflight: (request) => link.call((remote) => remote.preflight(request)),
    estimateStage: (config, stage) => link.call((remote) => remote.estimateStage(config, stage)),
    benchmark: () => link.call((remote) => remote.benchmark()),
    runBenchmark: (onProgress) => link.call((remote) => remote.runBenchmark(proxy(onProgress))),
    stopBenchmark: () => link.call((remote) => remote.stopBenchmark()),
    workerLog: (runId, offset) => link.call((remote) => remote.workerLog(runId, offset)),
    artefactPlaces: () => link.call((remote) => remote.artefactPlaces()),
    pullArtefact: (id) => link.call((remote) => remote.pullArtefact(id)),
  };
}
