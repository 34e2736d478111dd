/** One run on disk: run.json (what is listed), metrics.jsonl (its events), its checkpoints. */
import type { ZodType } from "zod";
import { NagiError } from "../../src/shared/errors";
import type { RunEvent } from "../../src/shared/protocol/events";
import { type RunRecord, runRecord } from "../../src/shared/protocol/run";
import { CheckpointShelf, type FreeBytes } from "../engine/io/checkpoint-shelf";
import type { Folder } from "../engine/io/opfs";
import { parseLog, RunLog } from "../engine/io/run-log";

const RECORD = "run.json";
const LOG = "metrics.jsonl";
/** Of runs on a worker. */
const MIRROR = "mirror.json";

export class RunFolder {
  readonly checkpoints: CheckpointShelf;

  private constructor(
    private readonly folder: Folder,
    free: FreeBytes,
  ) {
    this.checkpoints = new CheckpointShelf(folder, free);
  }

  static async create(runs: Folder, record: RunRecord, free: FreeBytes): Promise<RunFolder> {
    const made = new RunFolder(await runs.folder(record.run_id), free);
    await made.saveRecord(record);
    return made;
  }

  /** @throws run.not_found */
  static async open(runs: Folder, runId: string, free: FreeBytes): Promise<RunFolder> {
    const folder = await runs.find(runId);
    if (folder === null) {
      throw new NagiError(
        "run.not_found",
        `There is no run ${runId} on this machine. It may have been deleted in another tab.`,
        {
          run_id: runId,
        },
      );
    }
    return new RunFolder(folder, free);
  }

  /** The stored record, or null where none was completed (the tab died while the run was created). */
  findRecord(): Promise<RunRecord | null> {
    return this.folder.readJson(RECORD, runRecord);
  }

  /** Whether there is nothing to lose: no record, readable or not, was ever begun. */
  async isEmpty(): Promise<boolean> {
    return (await this.folder.entries()).every((entry) => !entry.name.startsWith(RECORD));
  }

  /** @throws storage.corrupt */
  async record(): Promise<RunRecord> {
    const found = await this.findRecord();
    if (found !== null) return found;
    const file = `${this.folder.path}/${RECORD}`;
    throw new NagiError("storage.corrupt", `${file} cannot be read. Delete the run.`, { file });
  }

  saveRecord(record: RunRecord): Promise<void> {
    return this.folder.writeJson(RECORD, record);
  }

  /** Where the events of a worker's run begin in the log; null before. */
  readMirror<T>(schema: ZodType<T>): Promise<T | null> {
    return this.folder.readJson(MIRROR, schema);
  }

  saveMirror(state: unknown): Promise<void> {
    return this.folder.writeJson(MIRROR, state);
  }

  /** The events so far, also while another tab writes them. */
  async events(): Promise<RunEvent[]> {
    const file = await this.folder.file(LOG);
    return file === null ? [] : parseLog(await this.folder.read(LOG)).events;
  }

  /** @throws storage.busy while another tab writes it */
  async openLog(): Promise<RunLog> {
    return RunLog.open(await this.folder.append(LOG), this.folder.name);
  }

  bytes(): Promise<number> {
    return this.folder.bytes();
  }
}
