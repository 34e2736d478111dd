/** The training worker: puts the studio's parts together on this browser's storage, locks and GPU, and exposes them. */
import { expose } from "comlink";
import { version } from "../../package.json";
import { installErrorTransfer } from "../../src/shared/comlink-errors";
import { type StudioBenchOptions, studioBench } from "../engine/bench/studio.bench";
import { adapterProfile, openGpu } from "../engine/gpu/request";
import { openRoot } from "../engine/io/opfs";
import { runStage } from "../engine/train/run-stage";
import { ArtefactStore } from "./artefact-store";
import { Benchmark } from "./benchmark";
import { keepBenchmark, readBenchmark } from "./benchmark-store";
import { Changes } from "./changes";
import { DatasetLibrary } from "./dataset-library";
import { EventHub } from "./event-hub";
import { WebLocks } from "./locks";
import { ModelDownloads } from "./model-downloads";
import { ModelLibrary } from "./model-library";
import { Pipelines } from "./pipelines";
import { Preflights } from "./preflights";
import { Remotes } from "./remote/remotes";
import { pullFiles } from "./remote/results";
import { RemoteSide } from "./remote/side";
import { dialWebSocket } from "./remote/wire";
import { pauseFor } from "./remote/worker";
import { Runs } from "./runs";
import { Scoring } from "./scoring";
import type { StageWork } from "./session";
import { StudioShelf } from "./shelf";
import { Sources } from "./sources";
import { Studio, type StudioParts } from "./studio";
import { tune } from "./tuning";

async function estimate(): Promise<{ usage: number | null; quota: number | null }> {
  const { usage, quota } = await navigator.storage.estimate();
  return { usage: usage ?? null, quota: quota ?? null };
}

async function free(): Promise<number | null> {
  const { usage, quota } = await estimate();
  return usage === null || quota === null ? null : Math.max(0, quota - usage);
}

/** Not every browser has it, and TypeScript does not know it. */
function deviceMemory(): number | undefined {
  const value: unknown = "deviceMemory" in navigator ? navigator.deviceMemory : undefined;
  return typeof value === "number" ? value : undefined;
}

async function train(work: StageWork) {
  const gpu = await openGpu(navigator.gpu);
  try {
    await tune(gpu);
    return await runStage({ ...work, gpu });
  } finally {
    gpu.destroy();
  }
}

async function measure(options: StudioBenchOptions) {
  const gpu = await openGpu(navigator.gpu);
  try {
    await tune(gpu);
    return await studioBench(gpu, options);
  } finally {
    gpu.destroy();
  }
}

/** What the benchmark says of the adapter that a run would get: another one's figures say nothing. */
async function measured(adapter: string) {
  const result = await readBenchmark();
  if (result?.adapter !== adapter) return null;
  return { flops: result.dispatchFlops, milliseconds: result.stepMs, at: result.measuredAt };
}

async function open(base: string): Promise<StudioParts> {
  const root = await openRoot(navigator.storage);
  const locks = WebLocks.of(navigator.locks);
  const datasets = await root.folder("datasets");
  const models = await root.folder("models");
  const sources = new Sources(datasets, models, new URL(base));
  const hub = new EventHub(new BroadcastChannel("nagi/run-events"));
  const changes = new Changes(new BroadcastChannel("nagi/changes"));
  const worker = { dial: dialWebSocket, pause: pauseFor, changed: () => changes.deliver("workers") };
  const remotes = await Remotes.open(await root.folder("remotes"), locks, worker, () => changes.publish("workers"));
  // Another tab has changed the list; what this tab's own workers do is no reason to read it.
  changes.onForeign("workers", () => void remotes.reload());
  const artefacts = new ArtefactStore(
    await root.folder("artefacts"),
    locks,
    free,
    () => changes.publish("artefacts"),
    (record, id, files) => pullFiles(remotes.get(id), record, files),
  );
  const shelf = new StudioShelf(sources, artefacts);
  const data = (reference: string) => shelf.data(reference);
  const tools = {
    locks,
    hub,
    train,
    shelf,
    artefacts,
    data,
    clock: () => performance.now(),
    remote: new RemoteSide(remotes, hub, { shelf, artefacts, data }, artefacts),
  };
  const runs = new Runs(await root.folder("runs"), tools, free, version);
  const pipelines = new Pipelines(await root.folder("pipelines"), runs, artefacts, locks, () =>
    changes.publish("pipelines"),
  );
  return {
    runs,
    hub,
    shelf,
    artefacts,
    pipelines,
    changes,
    remotes,
    datasets: new DatasetLibrary(datasets, sources),
    models: new ModelLibrary(models, sources, free),
    downloads: new ModelDownloads(models, sources, free, (change) => changes.publish(change)),
    scoring: new Scoring(runs, shelf, artefacts),
    preflights: new Preflights({
      shelf,
      profile: () => adapterProfile(navigator.gpu),
      free,
      deviceMemory: deviceMemory(),
      measured,
    }),
    benchmark: new Benchmark({ locks, measure, read: readBenchmark, keep: keepBenchmark, now: Date.now }),
    estimate,
  };
}

installErrorTransfer();
expose(new Studio(open));
