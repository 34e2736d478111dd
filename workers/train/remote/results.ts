/** What a stage on a worker has made: known here at once, its files fetched now or when somebody needs them. */
import { NagiError } from "../../../src/shared/errors";
import { type ArtefactRecord, artefactId } from "../../../src/shared/protocol/artefact";
import type { AppendFile } from "../../engine/io/opfs";
import { downloadBlob } from "./transfer";
import type { RemoteWorker } from "./worker";

/** Whole models above this stay where they are until somebody asks for them. */
export const PULL_AT_ONCE = 256 << 20;

export interface Results {
  /** Lists the artefact; its files stay on the worker. @throws storage.quota */
  keep(record: ArtefactRecord, worker: string): Promise<void>;
  /** Fetches its files. @throws storage.*, worker.*, artefact.elsewhere */
  pull(id: string): Promise<void>;
}

/**
 * What the run has made, listed here. Adapters, reward models and texts are fetched; so are models that are not large.
 * @returns its id
 */
export async function fetchResult(worker: RemoteWorker, runId: string, results: Results): Promise<string> {
  const runs = await worker.ask<"list_runs">({ name: "list_runs" }, { patient: true });
  const id = runs.find(({ run_id }) => run_id === runId)?.artefact;
  if (id == null) {
    const message = `The worker finished the run ${runId} without a result. Run the stage again.`;
    throw new NagiError("internal", message, { message });
  }
  const record = await worker.ask<"get_artefact">({ name: "get_artefact", id }, { patient: true });
  const { id: claimed, ...manifest } = record;
  if (claimed !== id || (await artefactId(manifest)) !== id)
    throw new NagiError("storage.corrupt", `The worker's record of ${record.name} does not fit its id. Run it again.`, {
      file: record.name,
    });
  await results.keep(record, worker.id);
  if (!isFetchedAtOnce(record)) return id;
  try {
    await results.pull(id);
  } catch (error) {
    // It is listed as being there: whoever needs it fetches it again and hears why not.
    console.warn(`the files of ${record.name} stay on the worker`, error);
  }
  return id;
}

function isFetchedAtOnce({ kind, files }: ArtefactRecord): boolean {
  return kind !== "model" || files.reduce((sum, { bytes }) => sum + bytes, 0) <= PULL_AT_ONCE;
}

/** Where the files of an artefact go. */
export interface PullFiles {
  /** Opens a file to add to it; what an earlier attempt brought is in it. */
  open(path: string): Promise<AppendFile>;
}

/** Fetches all files of an artefact, each from where an earlier attempt stopped. The caller checks their hashes. */
export async function pullFiles(worker: RemoteWorker, record: ArtefactRecord, files: PullFiles): Promise<void> {
  const total = record.files.reduce((sum, { bytes }) => sum + bytes, 0);
  const shown = worker.transfer({ direction: "down", name: record.name, run_id: record.run_id, total });
  try {
    let before = 0;
    for (const { path, sha256, bytes } of record.files) {
      const sink = await files.open(path);
      try {
        // More than there should be is something else.
        if (sink.size > bytes) sink.truncate(0);
        await downloadBlob(worker, { sha256, bytes }, sink, (done) => shown.advance(before + done), { patient: true });
        sink.flush();
      } finally {
        sink.close();
      }
      before += bytes;
    }
  } finally {
    shown.end();
  }
}
