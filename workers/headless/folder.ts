/** What a run leaves in its output folder: metrics.jsonl, checkpoint/, model/, report.json. */
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { NagiError } from "../../src/shared/errors";
import { type RunEvent, type RunEventBody, runEvent } from "../../src/shared/protocol/events";
import type { RunStorage } from "../engine/train/stage";
import { isMissing, reasonOf } from "./sources";

/** storage.quota {needed, available} where the disk is full, else storage.unavailable {message}. */
function storageError(path: string, error: unknown, bytes: number): NagiError {
  const full = error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
  if (full)
    return new NagiError(
      "storage.quota",
      `${path}: the disk is full (${bytes} bytes needed). Free some space and continue with --resume.`,
      { needed: bytes, available: null },
      { cause: error },
    );
  const message = `${path} cannot be written: ${reasonOf(error)}`;
  return new NagiError(
    "storage.unavailable",
    `${message}. Choose another --out folder.`,
    { message },
    { cause: error },
  );
}

/** Writes beside the target and renames: a reader sees the old file or the new one, never a part. */
export async function writeWhole(path: string, bytes: Uint8Array | string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(`${path}.part`, "w");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
  } catch (error) {
    throw storageError(path, error, bytes.length);
  }
}

/** Checkpoints in a folder; only the newest is kept. */
export class CheckpointFolder implements RunStorage {
  private readonly path: string;

  constructor(out: string) {
    this.path = join(out, "checkpoint", "checkpoint.safetensors");
  }

  saveCheckpoint(_step: number, bytes: Uint8Array): Promise<void> {
    return writeWhole(this.path, bytes);
  }

  async loadCheckpoint(): Promise<Uint8Array | null> {
    try {
      return new Uint8Array(await readFile(this.path));
    } catch (error) {
      if (isMissing(error)) return null;
      throw new NagiError("storage.unavailable", `${this.path} cannot be read: ${reasonOf(error)}`, {
        message: reasonOf(error),
      });
    }
  }
}

/** metrics.jsonl: one event a line, each written before the run goes on. */
export class EventLog {
  private constructor(
    private readonly file: number,
    private readonly runId: string,
    private seq: number,
  ) {}

  /**
   * Opens the log of a folder. `append` continues after the last whole line, with its run id and the next seq; what a
   * crash cut in half is dropped. Otherwise the log starts anew.
   */
  static open(out: string, runId: string, append: boolean): EventLog {
    const path = join(out, "metrics.jsonl");
    try {
      mkdirSync(out, { recursive: true });
      if (!append || !existsSync(path)) return new EventLog(openSync(path, "w"), runId, 0);
      const { bytes, last } = wholeLines(path);
      const file = openSync(path, "r+");
      ftruncateSync(file, bytes);
      closeSync(file);
      return new EventLog(openSync(path, "a"), last?.run_id ?? runId, (last?.seq ?? -1) + 1);
    } catch (error) {
      throw storageError(path, error, 0);
    }
  }

  /** Adds run_id, seq and time, and writes. */
  write(body: RunEventBody): void {
    const event = { ...body, run_id: this.runId, seq: this.seq, time: Date.now() };
    this.seq += 1;
    const line = `${JSON.stringify(event)}\n`;
    try {
      writeSync(this.file, line);
    } catch (error) {
      throw storageError("metrics.jsonl", error, line.length);
    }
  }

  close(): void {
    closeSync(this.file);
  }
}

/** The length in bytes of the leading lines that are events in sequence, and the last of them. */
function wholeLines(path: string): { bytes: number; last: RunEvent | null } {
  const content = readFileSync(path);
  let bytes = 0;
  let last: RunEvent | null = null;
  for (let end = content.indexOf(10); end !== -1; end = content.indexOf(10, bytes)) {
    let value: unknown;
    try {
      value = JSON.parse(content.toString("utf8", bytes, end));
    } catch {
      break;
    }
    const event = runEvent.safeParse(value);
    if (!event.success || event.data.seq !== (last?.seq ?? -1) + 1) break;
    last = event.data;
    bytes = end + 1;
  }
  return { bytes, last };
}

/** Replaces a folder's files with `files` (path -> bytes). */
export async function writeFiles(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true });
    for (const [path, bytes] of files) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), bytes);
    }
  } catch (error) {
    throw storageError(
      folder,
      error,
      [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0),
    );
  }
}
