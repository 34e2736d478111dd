/** The backend as the page sees it: runs, data sets, models and scores of this machine behind one interface. */
import { NagiError } from "../../src/shared/errors";
import type { DatasetSummary, ModelSummary, StorageUse } from "../../src/shared/protocol/backend";
import { type RunConfig, rewardStageOf, runConfig } from "../../src/shared/protocol/config";
import type { RunEvent, ScoredSample } from "../../src/shared/protocol/events";
import type { DatasetEntry, DatasetImport, ModelEntry, ModelImport } from "../../src/shared/protocol/library";
import type { RunRecord } from "../../src/shared/protocol/run";
import type { WorkerApi } from "../../src/shared/protocol/worker";
import { zipParts } from "../engine/io/zip-write";
import { exportRewardModel } from "../engine/train/export";
import type { DatasetLibrary } from "./dataset-library";
import type { EventHub } from "./event-hub";
import type { ModelLibrary } from "./model-library";
import type { Runs } from "./runs";
import type { Scoring } from "./scoring";
import type { Sources } from "./sources";

export interface StudioParts {
  readonly runs: Runs;
  readonly hub: EventHub;
  readonly sources: Sources;
  readonly datasets: DatasetLibrary;
  readonly models: ModelLibrary;
  readonly scoring: Scoring;
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
    const parsed = runConfig.safeParse(config);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const path = issue?.path.join(".") ?? "";
      const problem = issue?.message ?? "";
      const details = { file: config.name, path, problem, allowed: "" };
      throw new NagiError("config.invalid", `${path}: ${problem}. Correct this field.`, details);
    }
    const { runs, scoring } = await this.#connected();
    // A model kept ready for questions would take GPU memory from the run.
    scoring.close();
    return runs.start(parsed.data);
  }

  async pause(runId: string): Promise<void> {
    return (await this.#connected()).runs.pause(runId);
  }

  async resume(runId: string): Promise<void> {
    const { runs, scoring } = await this.#connected();
    scoring.close();
    return runs.resume(runId);
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
    const { runs, sources } = await this.#connected();
    const { config } = await runs.record(runId);
    const { bytes } = await runs.newestCheckpoint(runId);
    const model = await sources.model(config.model.model_name_or_path);
    const stage = rewardStageOf(config);
    if (stage === null) throw new NagiError("internal", `the run ${runId} has trained no reward model`);
    const files = await exportRewardModel({ stage, model, checkpoint: bytes });
    return new Blob(zipParts(files), { type: "application/zip" });
  }

  async inspectDataset(reference: string): Promise<DatasetSummary> {
    return (await this.#connected()).datasets.inspect(reference);
  }

  async inspectModel(reference: string): Promise<ModelSummary> {
    return (await this.#connected()).models.inspect(reference);
  }

  async storage(): Promise<StorageUse> {
    const parts = await this.#connected();
    const [estimate, runs] = await Promise.all([parts.estimate(), parts.runs.sizes()]);
    return { ...estimate, runs };
  }

  async listDatasets(): Promise<DatasetEntry[]> {
    return (await this.#connected()).datasets.list();
  }

  async importDataset(request: DatasetImport): Promise<DatasetEntry> {
    return (await this.#connected()).datasets.import(request);
  }

  async deleteDataset(id: string): Promise<void> {
    await this.#refuseWhileUsed("dataset", `imported:${id}/`, ({ data }) => [data.train, data.validation, data.test]);
    await (await this.#connected()).datasets.delete(id);
  }

  async listModels(): Promise<ModelEntry[]> {
    return (await this.#connected()).models.list();
  }

  async importModel(request: ModelImport): Promise<ModelEntry> {
    return (await this.#connected()).models.import(request);
  }

  async deleteModel(id: string): Promise<void> {
    await this.#refuseWhileUsed("model", `imported:${id}/`, ({ model }) => [`${model.model_name_or_path}/`]);
    await (await this.#connected()).models.delete(id);
  }

  async #refuseWhileUsed(
    what: "dataset" | "model",
    prefix: string,
    references: (config: RunConfig) => (string | null)[],
  ): Promise<void> {
    for (const run of await (await this.#connected()).runs.unfinished()) {
      if (!references(run.config).some((reference) => reference?.startsWith(prefix))) continue;
      throw new NagiError(
        "storage.busy",
        `The run "${run.config.name}" still needs it to go on. Stop or delete that run first.`,
        { what, name: run.config.name },
      );
    }
  }
}
