/**
 * The backend that the stores talk to. The composition root (src/app) creates one and calls `provideBackend` before the
 * first render; stores call `backend()` when an action runs, never at module load.
 */
import { NagiError } from "../shared/errors";
import type { StudioBackend } from "../shared/protocol/library";

export type {
  ArtefactBackend,
  DatasetSummary,
  ModelSummary,
  StorageUse,
  TextReward,
  TrainBackend,
} from "../shared/protocol/backend";
export type {
  DatasetEntry,
  DatasetImport,
  DownloadState,
  LibraryBackend,
  LibrarySource,
  ModelEntry,
  ModelImport,
  ModelRequest,
  PreferencesImport,
  StudioBackend,
  StudioChange,
} from "../shared/protocol/library";

export type {
  CreateOptions,
  LineageNode,
  PipelineBackend,
  PipelineRecord,
  PipelineStage,
} from "../shared/protocol/pipeline";
export type { PreflightRequest, RemoteWorkerRecord, WorkerAddress, WorkersBackend } from "../shared/protocol/workers";

let provided: StudioBackend | undefined;

export function provideBackend(instance: StudioBackend): void {
  provided = instance;
}

/** @throws NagiError `internal` before `provideBackend` was called. */
export function backend(): StudioBackend {
  if (provided === undefined)
    throw new NagiError("internal", "No backend was provided. Call provideBackend first.", { message: "no backend" });
  return provided;
}
