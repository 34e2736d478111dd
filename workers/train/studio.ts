/** The backend as the page sees it: pipelines, runs, artefacts, data sets, models and scores behind one interface. */
import { NagiError } from "../../src/shared/errors";
import type { ArtefactRecord, Generation } from "../../src/shared/protocol/artefact";
import type {
  DatasetSummary,
  GeneratedText,
  GenerateSettings,
  ModelSummary,
  StorageUse,
  TextReward,
} from "../../src/shared/protocol/backend";
import type { BenchmarkProgress, BenchmarkResult } from "../../src/shared/protocol/benchmark";
import { type RunConfig, runConfig } from "../../src/shared/protocol/config";
import type { RunEvent, ScoredSample } from "../../src/shared/protocol/events";
import { type StagePlaces, workerOf } from "../../src/shared/protocol/launch";
import type {
  DatasetEntry,
  DatasetImport,
  DownloadState,
  ModelEntry,
  ModelImport,
  ModelRequest,
  PreferencesImport,
  StudioChange,
} from "../../src/shared/protocol/library";
import type { CreateOptions, LineageNode, PipelineRecord } from "../../src/shared/protocol/pipeline";
import { referencesOf } from "../../src/shared/protocol/pipeline-inputs";
import type { StagePreflight } from "../../src/shared/protocol/preflight";
import type { PreflightResult } from "../../src/shared/protocol/remote";
import { type RunRecord, stageOf } from "../../src/shared/protocol/run";
import type { WorkerApi } from "../../src/shared/protocol/worker";
import type { PreflightRequest, RemoteWorkerRecord, WorkerAddress } from "../../src/shared/protocol/workers";
import { zipParts } from "../engine/io/zip-write";
import { exportRewardModel } from "../engine/train/export";
import { openModel } from "../engine/train/inputs";
import type { ArtefactStore } from "./artefact-store";
import type { Benchmark } from "./benchmark";
import type { Changes } from "./changes";
import type { DatasetLibrary } from "./dataset-library";
import type { EventHub } from "./event-hub";
import { lineageOf, readGenerations, removeArtefact, removeUnused } from "./lineage";
import type { ModelDownloads } from "./model-downloads";
import type { ModelLibrary } from "./model-library";
import type { Pipelines } from "./pipelines";
import { importPreferences } from "./preferences";
import type { Preflights } from "./preflights";
import type { Remotes } from "./remote/remotes";
import type { Runs } from "./runs";
import type { Scoring } from "./scoring";
import type { StudioShelf } from "./shelf";

export interface StudioParts {
  readonly runs: Runs;
  readonly hub: EventHub;
  readonly shelf: StudioShelf;
  readonly artefacts: ArtefactStore;
  readonly pipelines: Pipelines;
  readonly changes: Changes;
  readonly remotes: Remotes;
  readonly datasets: DatasetLibrary;
  readonly models: ModelLibrary;
  readonly downloads: ModelDownloads;
  readonly scoring: Scoring;
  readonly preflights: Preflights;
  readonly benchmark: Benchmark;
  readonly estimate: () => Promise<{ usage: number | null; quota: number | null }>;
}

export class Studio implements WorkerApi {
  #parts: Promise<StudioParts> | null = null;

  /** @param open puts the parts together on this browser's storage, locks and GPU */
  constructor(private readonly open: (base: string) => Promise<StudioParts>) {}

  /** A connection that failed is tried again with the next call. @throws storage.unavailable */
  async connect(base: string): Promise<void> {
    this.#parts ??= this.open(base);
    try {
      await this.#parts;
    } catch (error) {
      this.#parts = null;
      throw error;
    }
  }

  #connected(): Promise<StudioParts> {
    const message = "the worker was asked before it was connected";
    return this.#parts ?? Promise.reject(new NagiError("internal", message, { message }));
  }

  async listRuns(): Promise<RunRecord[]> {
    return (await this.#connected()).runs.list();
  }

  /** @throws config.invalid {file, path, problem, allowed}, storage.quota */
  async start(config: RunConfig): Promise<RunRecord> {
    const valid = checked(config);
    const { runs, scoring } = await this.#connected();
    // A model kept ready for questions would take GPU memory from the run.
    scoring.close();
    return runs.start(valid);
  }

  async pause(runId: string): Promise<void> {
    return (await this.#connected()).runs.pause(runId);
  }

  async resume(runId: string): Promise<void> {
    const { runs, scoring, pipelines } = await this.#connected();
    scoring.close();
    const pipeline = await pipelines.goesOnWith(await runs.record(runId));
    return pipeline === null ? runs.resume(runId) : pipelines.run(pipeline);
  }

  async stop(runId: string): Promise<void> {
    return (await this.#connected()).runs.stop(runId);
  }

  async checkpoint(runId: string): Promise<void> {
    return (await this.#connected()).runs.checkpoint(runId);
  }

  async delete(runId: string): Promise<void> {
    return (await this.#connected()).runs.delete(runId);
  }

  async subscribe(runId: string, sinceSeq: number, listener: (events: readonly RunEvent[]) => void): Promise<number> {
    return (await this.#connected()).runs.subscribe(runId, sinceSeq, listener);
  }

  async unsubscribe(subscription: number): Promise<void> {
    (await this.#connected()).hub.unsubscribe(subscription);
  }

  async exportEvents(runId: string): Promise<string> {
    return (await this.#connected()).runs.eventLog(runId);
  }

  async score(runId: string, texts: readonly string[]): ReturnType<Scoring["score"]> {
    return (await this.#connected()).scoring.score(runId, texts);
  }

  async scoreSplit(runId: string, split: "validation" | "test"): Promise<ScoredSample[]> {
    return (await this.#connected()).scoring.scoreSplit(runId, split);
  }

  async exportModel(runId: string): Promise<Blob> {
    const { runs, shelf, artefacts } = await this.#connected();
    const run = await runs.record(runId);
    if (run.artefact !== null && (await artefacts.find(run.artefact)) !== null)
      return this.exportArtefact(run.artefact);
    const stage = stageOf(run);
    if (stage.stage !== "reward") {
      const message = `A run of the stage ${stage.stage} that is ${run.state} has made nothing yet. Let it finish.`;
      throw new NagiError("run.bad_command", message, { command: "export", state: run.state });
    }
    const { bytes } = await runs.newestCheckpoint(runId);
    const { model, adapter } = await openModel(run.inputs.model ?? run.config.model.model_name_or_path, shelf);
    return zip(await exportRewardModel({ config: run.config, stage, model, adapter, checkpoint: bytes }));
  }

  async listArtefacts(): Promise<ArtefactRecord[]> {
    return (await this.#connected()).artefacts.list();
  }

  async artefact(id: string): Promise<ArtefactRecord> {
    return (await this.#connected()).artefacts.record(id);
  }

  async exportArtefact(id: string): Promise<Blob> {
    const { artefacts } = await this.#connected();
    const files = new Map<string, Uint8Array<ArrayBuffer>>();
    for (const [path, file] of await artefacts.files(id)) files.set(path, new Uint8Array(await file.arrayBuffer()));
    return zip(files);
  }

  async artefactFiles(id: string): Promise<Map<string, Blob>> {
    return (await this.#connected()).artefacts.files(id);
  }

  async deleteArtefact(id: string): Promise<void> {
    await removeArtefact(id, await this.#connected());
  }

  async importPreferences(request: PreferencesImport): Promise<ArtefactRecord> {
    return importPreferences(request, (await this.#connected()).artefacts);
  }

  async lineage(id: string): Promise<LineageNode[]> {
    return lineageOf(id, await this.#connected());
  }

  async generations(id: string): Promise<Generation[]> {
    return readGenerations(id, (await this.#connected()).artefacts);
  }

  async generate(model: string, prompts: readonly string[], settings: GenerateSettings): Promise<GeneratedText[]> {
    return (await this.#connected()).scoring.generate(model, prompts, settings);
  }

  async scoreArtefact(id: string, texts: readonly string[]): Promise<TextReward[]> {
    return (await this.#connected()).scoring.scoreArtefact(id, texts);
  }

  async listPipelines(): Promise<PipelineRecord[]> {
    return (await this.#connected()).pipelines.list();
  }

  async createPipeline(config: RunConfig, options: CreateOptions): Promise<PipelineRecord> {
    const { pipelines, remotes } = await this.#connected();
    checkPlaces(options.places ?? {}, remotes);
    return pipelines.create(checked(config), options);
  }

  async placeStages(pipelineId: string, places: StagePlaces): Promise<void> {
    const { pipelines, remotes } = await this.#connected();
    checkPlaces(places, remotes);
    await pipelines.place(pipelineId, places);
  }

  async runPipeline(pipelineId: string): Promise<void> {
    const { pipelines, scoring } = await this.#connected();
    scoring.close();
    await pipelines.run(pipelineId);
  }

  async runPipelineFrom(pipelineId: string, stage: string): Promise<void> {
    const { pipelines, scoring } = await this.#connected();
    scoring.close();
    await pipelines.runFrom(pipelineId, stage);
  }

  async pausePipeline(pipelineId: string): Promise<void> {
    await (await this.#connected()).pipelines.pause(pipelineId);
  }

  async stopPipeline(pipelineId: string): Promise<void> {
    await (await this.#connected()).pipelines.stop(pipelineId);
  }

  async deletePipeline(pipelineId: string, options: { readonly artefacts: boolean }): Promise<void> {
    const parts = await this.#connected();
    await parts.pipelines.delete(pipelineId, options.artefacts ? (id) => removeUnused(id, parts) : null);
  }

  async listWorkers(): Promise<RemoteWorkerRecord[]> {
    return (await this.#connected()).remotes.list();
  }

  async addWorker(address: WorkerAddress): Promise<RemoteWorkerRecord> {
    return (await this.#connected()).remotes.add(address);
  }

  async removeWorker(id: string): Promise<void> {
    const { runs, remotes } = await this.#connected();
    const user = (await runs.unfinished()).find(({ place }) => workerOf(place) === id);
    if (user !== undefined)
      throw new NagiError("storage.busy", `"${user.config.name}" is not finished on this worker. Stop it first.`, {
        what: "worker",
        name: user.config.name,
      });
    await remotes.remove(id);
  }

  async preflight({ worker, config, stage, launch }: PreflightRequest): Promise<PreflightResult> {
    const { remotes, preflights } = await this.#connected();
    const model = await preflights.modelShape(config);
    return remotes.get(worker).ask<"preflight">({ name: "preflight", config: checked(config), stage, launch, model });
  }

  async estimateStage(config: RunConfig, stage: string): Promise<StagePreflight> {
    return (await this.#connected()).preflights.estimate(checked(config), stage);
  }

  async benchmark(): Promise<BenchmarkResult | null> {
    return (await this.#connected()).benchmark.result();
  }

  async runBenchmark(onProgress: (progress: BenchmarkProgress) => void): Promise<BenchmarkResult | null> {
    const { benchmark, scoring } = await this.#connected();
    scoring.close();
    return benchmark.run(onProgress);
  }

  async stopBenchmark(): Promise<void> {
    (await this.#connected()).benchmark.stop();
  }

  async workerLog(runId: string, offset: number): Promise<{ text: string; offset: number }> {
    return (await this.#connected()).runs.workerLog(runId, offset);
  }

  async artefactPlaces(): Promise<Record<string, string>> {
    return (await this.#connected()).artefacts.places();
  }

  async pullArtefact(id: string): Promise<void> {
    await (await this.#connected()).artefacts.pull(id);
  }

  async watch(listener: (change: StudioChange) => void): Promise<void> {
    (await this.#connected()).changes.listen(listener);
  }

  async inspectDataset(reference: string): Promise<DatasetSummary> {
    return (await this.#connected()).datasets.inspect(reference);
  }

  async inspectModel(reference: string): Promise<ModelSummary> {
    return (await this.#connected()).models.inspect(reference);
  }

  async storage(): Promise<StorageUse> {
    const parts = await this.#connected();
    const [estimate, runs, artefacts] = await Promise.all([
      parts.estimate(),
      parts.runs.sizes(),
      parts.artefacts.sizes(),
    ]);
    return { ...estimate, runs, artefacts };
  }

  async listDatasets(): Promise<DatasetEntry[]> {
    return (await this.#connected()).datasets.list();
  }

  async importDataset(request: DatasetImport): Promise<DatasetEntry> {
    return (await this.#connected()).datasets.import(request);
  }

  async deleteDataset(id: string): Promise<void> {
    await this.#refuseWhileUsed("dataset", (reference) => reference.startsWith(`imported:${id}/`));
    await (await this.#connected()).datasets.delete(id);
  }

  async listModels(): Promise<ModelEntry[]> {
    return (await this.#connected()).models.list();
  }

  async importModel(request: ModelImport): Promise<ModelEntry> {
    return (await this.#connected()).models.import(request);
  }

  async deleteModel(id: string): Promise<void> {
    await this.#refuseWhileUsed("model", (reference) => reference === `imported:${id}`);
    await (await this.#connected()).models.delete(id);
  }

  async listDownloads(): Promise<DownloadState[]> {
    return (await this.#connected()).downloads.list();
  }

  async startDownload(request: ModelRequest): Promise<void> {
    await (await this.#connected()).downloads.start(request);
  }

  async stopDownload(id: string): Promise<void> {
    await (await this.#connected()).downloads.stop(id);
  }

  async removeDownload(id: string): Promise<void> {
    await (await this.#connected()).downloads.remove(id);
  }

  async #refuseWhileUsed(what: "dataset" | "model", isIt: (reference: string) => boolean): Promise<void> {
    const { runs, pipelines } = await this.#connected();
    const unfinished: Pick<RunRecord, "config">[] = await runs.unfinished();
    for (const { config, stages } of await pipelines.stored())
      if (stages.some(({ artefact }) => artefact === null)) unfinished.push({ config });
    for (const { config } of unfinished) {
      if (!referencesOf(config).some(isIt)) continue;
      throw new NagiError(
        "storage.busy",
        `"${config.name}" still needs it to go on. Stop or delete that run or pipeline first.`,
        { what, name: config.name },
      );
    }
  }
}

/** @throws config.invalid {file, path, problem, allowed} */
function checked(config: RunConfig): RunConfig {
  const parsed = runConfig.safeParse(config);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path.join(".") ?? "";
  const problem = issue?.message ?? "";
  const details = { file: config.name, path, problem, allowed: "" };
  throw new NagiError("config.invalid", `${path}: ${problem}. Correct this field.`, details);
}

/** @throws worker.unknown {worker} */
function checkPlaces(places: StagePlaces, remotes: Remotes): void {
  for (const place of Object.values(places)) remotes.get(place.worker);
}

function zip(files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Blob {
  return new Blob(zipParts(files), { type: "application/zip" });
}
