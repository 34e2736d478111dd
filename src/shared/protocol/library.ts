/**
 * What the studio can train on: bundled data sets and models, and those a person opened from disk (kept in OPFS by the
 * worker). The references in an entry go into a RunConfig as they are.
 */
import { z } from "zod";
import { modelCredit } from "../credit";
import type { ErrorData } from "../errors";
import type { ArtefactParent, ArtefactRecord } from "./artefact";
import type { ArtefactBackend, TrainBackend } from "./backend";
import type { BenchmarkBackend } from "./benchmark";
import { dataConfig } from "./config";
import { datasetNote, rowProblem } from "./dataset";
import type { PipelineBackend } from "./pipeline";
import type { PreflightBackend } from "./preflight";
import type { WorkersBackend } from "./workers";

export const librarySource = z.enum(["bundled", "imported"]);

/** A data set with its splits: `bundled:NAME/SPLIT` or `imported:ID/SPLIT`. */
export const datasetEntry = z.strictObject({
  /** Unique among all data sets: the folder's name. */
  id: z.string().min(1),
  name: z.string().min(1),
  source: librarySource,
  /** Goes into RunConfig.data. */
  data: dataConfig,
  /** Names of the files it came from, in the order train, validation, test. */
  files: z.array(z.string()),
  /** Set where validation rows were taken out of the training file: share and seed of the split. */
  split: z.strictObject({ share: z.number(), seed: z.int() }).nullable(),
  bytes: z.int().min(0),
  /** Milliseconds since the epoch; 0 for bundled ones. */
  created: z.number(),
});

/**
 * What was found in a file whose rows were split: stored beside the halves, which hold good rows only. Lines are those of
 * the file that was opened.
 */
export const importFindings = z.strictObject({
  problems: z.array(rowProblem),
  problem_count: z.int().min(0),
  notes: z.array(datasetNote),
});

/** Where a model was downloaded from. */
export const modelOrigin = z.strictObject({
  /** The hub's address. */
  endpoint: z.string().min(1),
  repo: z.string().min(1),
  revision: z.string().min(1),
  /** What the revision stood for. */
  commit: z.string().min(1),
  /** The model card's, for instance "cc-by-sa-4.0"; null where it names none. */
  license: z.string().nullable(),
});

/** A checkpoint in Hugging Face layout: `bundled:NAME` or `imported:ID`. */
export const modelEntry = z.strictObject({
  id: z.string().min(1),
  name: z.string().min(1),
  source: librarySource,
  /** Goes into RunConfig.model.model_name_or_path. */
  reference: z.string().min(1),
  files: z.array(z.string()),
  bytes: z.int().min(0),
  created: z.number(),
  /** null for bundled models and those opened from disk. */
  origin: modelOrigin.nullable(),
  /** Whose it is, and its licence. */
  credit: modelCredit,
});

/** A download as it is stored: it goes on in another session. The access token is not part of it. */
export const modelDownload = z.strictObject({
  id: z.string().min(1),
  origin: modelOrigin,
  files: z.array(
    z.strictObject({
      path: z.string().min(1),
      bytes: z.int().min(0),
      sha256: z.string().nullable(),
      blob: z.string().nullable(),
    }),
  ),
  created: z.number(),
});

export type ModelOrigin = z.infer<typeof modelOrigin>;
export type ModelDownload = z.infer<typeof modelDownload>;

export type LibrarySource = z.infer<typeof librarySource>;
export type DatasetEntry = z.infer<typeof datasetEntry>;
export type ModelEntry = z.infer<typeof modelEntry>;

export interface DatasetImport {
  readonly name: string;
  readonly train: File;
  /** null: a tenth of the training rows is set aside, drawn with `seed`. */
  readonly validation: File | null;
  readonly test: File | null;
  readonly seed: number;
}

export interface ModelImport {
  readonly name: string;
  /** Paths relative to the model's folder, with `/`. */
  readonly files: readonly { readonly path: string; readonly file: File }[];
}

export interface ModelRequest {
  /** owner/name. */
  readonly repo: string;
  /** A branch, tag, refs/pr/N or commit. */
  readonly revision: string;
  /** The hub's address; null: huggingface.co. */
  readonly endpoint: string | null;
  /** Of an account on that hub, for this one download; null: none. */
  readonly token: string | null;
}

/** How far a download has come. */
export interface DownloadState {
  readonly id: string;
  readonly origin: ModelOrigin;
  /** Bytes. */
  readonly stored: number;
  readonly total: number;
  /** Bytes are coming, or it is being checked; otherwise it waits to be continued. */
  readonly active: boolean;
  /** Why it waits, where that was not somebody's wish. */
  readonly error: ErrorData | null;
}

export interface PreferencesImport {
  readonly name: string;
  /** JSONL of {prompt, chosen, rejected}. */
  readonly file: File;
  /** What the pairs came from, for instance {slot: "texts", id: an evaluation's artefact}. */
  readonly parents: readonly ArtefactParent[];
}

/** What may have changed. */
export const studioChange = z.enum(["pipelines", "artefacts", "workers", "models", "downloads"]);
export type StudioChange = z.infer<typeof studioChange>;

/** The local worker's other half: what is stored on this machine. Every method rejects with a NagiError. */
export interface LibraryBackend {
  listDatasets(): Promise<DatasetEntry[]>;
  /** Reads and checks the files, stores them, resolves with the entry. Errors: data.*, storage.quota. */
  importDataset(request: DatasetImport): Promise<DatasetEntry>;
  /** Errors: storage.busy while an unfinished run uses it. */
  deleteDataset(id: string): Promise<void>;
  listModels(): Promise<ModelEntry[]>;
  /** Streams the files to storage, then checks config, tensor header, shapes and tokenizer. Errors: model.*, storage.quota. */
  importModel(request: ModelImport): Promise<ModelEntry>;
  /** Errors: storage.busy while an unfinished run uses it. */
  deleteModel(id: string): Promise<void>;
  /** Models on their way from a hub, the oldest first. */
  listDownloads(): Promise<DownloadState[]>;
  /**
   * Begins a download or goes on with one; resolves once it is under way. Changes of "downloads" tell how it goes on, one of "models" that it is there.
   * Errors: hub.*, model.file_missing, storage.quota, storage.busy.
   */
  startDownload(request: ModelRequest): Promise<void>;
  /** What has arrived stays. */
  stopDownload(id: string): Promise<void>;
  /** With what has arrived. */
  removeDownload(id: string): Promise<void>;
  /** Checks and stores pairs as an artefact of the kind "preferences". Errors: data.*, storage.quota. */
  importPreferences(request: PreferencesImport): Promise<ArtefactRecord>;
  /** All stored events of a run, one JSON object a line (metrics.jsonl). Errors: run.not_found. */
  exportEvents(runId: string): Promise<string>;
}

export interface StudioBackend
  extends TrainBackend,
    ArtefactBackend,
    PipelineBackend,
    LibraryBackend,
    WorkersBackend,
    PreflightBackend,
    BenchmarkBackend {
  /**
   * Told whenever lists may have changed, in this tab or another one: then list again. Returns a function that ends it.
   */
  changes(listener: (change: StudioChange) => void): Promise<() => void>;
}
