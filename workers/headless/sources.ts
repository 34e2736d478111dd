/** Folders and files on disk, and what `bundled:NAME` means on the command line. */
import { existsSync, readdirSync } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { NagiError } from "../../src/shared/errors";
import { type FileSource, fileMissing } from "../engine/io/source";
import type { DataFile } from "../engine/train/stage";

/** A folder on disk. Paths inside it use "/" whatever the system does. */
export class FolderSource implements FileSource {
  constructor(
    private readonly folder: string,
    readonly name = folder,
  ) {}

  async list(): Promise<string[]> {
    const entries = await readdir(this.folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(this.folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
      .sort();
  }

  async size(path: string): Promise<number> {
    return (await this.open(path, () => stat(join(this.folder, path)))).size;
  }

  async read(path: string, start = 0, end?: number): Promise<Uint8Array> {
    const file = await this.open(path, () => open(join(this.folder, path)));
    try {
      const length = Math.max(0, Math.min(end ?? Number.POSITIVE_INFINITY, (await file.stat()).size) - start);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await file.read(bytes, done, length - done, start + done);
        if (bytesRead === 0) return bytes.subarray(0, done);
        done += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  }

  private async open<T>(path: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (isMissing(error)) throw fileMissing(path, this.name, await this.list().catch(() => []));
      throw error;
    }
  }
}

/** The reason of a failed file operation, in Node's own words. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");

/** The repository: where the launcher says, else the nearest folder above this file that holds public/. */
function repository(): string {
  if (process.env.NAGI_ROOT) return process.env.NAGI_ROOT;
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "public")) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

const BUNDLED = "bundled:";

/** The names after `bundled:`, refusing everything that could leave the public folder. */
function bundledPath(reference: string): string[] {
  const parts = reference.slice(BUNDLED.length).split("/");
  return parts.every((part) => /^[\w.-]+$/.test(part) && !/^\.+$/.test(part)) ? parts : [];
}

const folders = (path: string): string[] =>
  existsSync(path)
    ? readdirSync(path, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name)
        .sort()
    : [];

/**
 * The folder of a model: `bundled:NAME`, or a path relative to the working folder.
 * Throws model.file_missing {file, source, found}.
 */
export function modelSource(reference: string): FileSource {
  if (!reference.startsWith(BUNDLED)) {
    const folder = resolve(reference);
    if (existsSync(folder)) return new FolderSource(folder, reference);
    throw fileMissing(reference, process.cwd(), folders(process.cwd()));
  }
  const models = join(repository(), "public", "models");
  const parts = bundledPath(reference);
  const [name] = parts;
  if (name !== undefined && parts.length === 1 && existsSync(join(models, name)))
    return new FolderSource(join(models, name), reference);
  throw fileMissing(
    reference,
    models,
    folders(models).map((found) => `${BUNDLED}${found}`),
  );
}

/**
 * A data file: `bundled:SET/SPLIT`, or a path relative to the working folder.
 * Throws data.unreadable {file, reason, line}.
 */
export async function readDataFile(reference: string): Promise<DataFile> {
  const parts = reference.startsWith(BUNDLED) ? bundledPath(reference) : null;
  const datasets = join(repository(), "public", "datasets");
  const path = parts ? join(datasets, ...parts.slice(0, 1), `${parts.slice(1).join("/")}.jsonl`) : resolve(reference);
  if (parts && parts.length !== 2)
    throw unreadable(
      reference,
      "a bundled data file is named bundled:SET/SPLIT, for instance bundled:reviews-ja/train",
    );
  try {
    return { name: parts ? basename(path) : reference, bytes: new Uint8Array(await readFile(path)) };
  } catch (error) {
    if (parts && isMissing(error))
      throw unreadable(reference, `bundled sets: ${folders(datasets).join(", ") || "none"}`);
    throw unreadable(reference, isMissing(error) ? `there is no file ${path}` : reasonOf(error), error);
  }
}

function unreadable(file: string, reason: string, cause?: unknown): NagiError {
  return new NagiError(
    "data.unreadable",
    `${file} cannot be read: ${reason}. Check the path and its permissions.`,
    { file, reason, line: 0 },
    { cause },
  );
}
