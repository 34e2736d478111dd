/**
 * A small layer over the origin private file system: folders, whole files, append-only files, and the guarantees that
 * runs rest on (a JSON file is either the old or the new one; a large file counts only once it was read back).
 * For dedicated workers: it writes through sync access handles, which exist nowhere else. Meaning (runs, data sets,
 * models) lives in workers/train.
 */
import type { ZodType } from "zod";
import { NagiError } from "../../../src/shared/errors";

/** The parts of the File System API that are used, so that unit tests can stand in for the browser's storage. */
export interface SyncHandle {
  read(buffer: Uint8Array, options?: { at: number }): number;
  write(buffer: Uint8Array, options?: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

export interface FileHandle {
  readonly kind: "file";
  readonly name: string;
  getFile(): Promise<File>;
  createSyncAccessHandle(): Promise<SyncHandle>;
}

export interface DirectoryHandle {
  readonly kind: "directory";
  readonly name: string;
  getFileHandle(name: string, options?: { create?: boolean }): Promise<FileHandle>;
  getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<DirectoryHandle>;
  removeEntry(name: string, options?: { recursive?: boolean }): Promise<void>;
  values(): AsyncIterable<{ readonly kind: "file" | "directory"; readonly name: string }>;
}

/** Bytes read back and compared at a time. */
const COMPARE_BYTES = 4 << 20;

/** Tries to open a file that somebody else holds, and milliseconds between two of them. */
const OPEN_ATTEMPTS = 10;
const OPEN_PAUSE = 50;
/**
 * Milliseconds after which the browser's answer counts as lost. Chromium 156 was seen never to answer (twice in ten runs
 * on a loaded machine, after another tab of the site had been closed), and a run that waits for it never ends.
 */
const ANSWER_WITHIN = 10_000;

/** The DOMException names that matter here; others are passed on as they are. */
function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}

/**
 * A storage failure as a NagiError: storage.quota {needed, available} in bytes (null: unknown), storage.busy {what, name}
 * where another tab holds the file, storage.unavailable {message}, storage.corrupt {file}.
 */
export function storageError(error: unknown, file: string, needed: number | null = null): NagiError {
  if (error instanceof NagiError) return error;
  const cause = { cause: error };
  const message = error instanceof Error ? error.message : String(error);
  switch (nameOf(error)) {
    case "QuotaExceededError":
      return new NagiError(
        "storage.quota",
        `${file}: the browser's storage for this site is full. Delete old runs or free disk space, then resume.`,
        { needed, available: null },
        cause,
      );
    case "NoModificationAllowedError":
      return new NagiError(
        "storage.busy",
        `${file} is in use by another tab. Close that tab, or go on there.`,
        { what: "file", name: file },
        cause,
      );
    case "NotFoundError":
    case "NotReadableError":
      return new NagiError(
        "storage.corrupt",
        `${file} can no longer be read. Delete it and start again.`,
        { file },
        cause,
      );
    case "SecurityError":
    case "InvalidStateError":
      return new NagiError(
        "storage.unavailable",
        `${file}: the browser denies storage (${message}). Leave the private window or allow site data.`,
        { message },
        cause,
      );
    default:
      return new NagiError("storage.unavailable", `${file}: ${message}`, { message }, cause);
  }
}

async function orNull<T>(pending: Promise<T>, file: string): Promise<T | null> {
  try {
    return await pending;
  } catch (error) {
    // TypeError: a name that no file can have ("", ".", "a/b").
    if (nameOf(error) === "NotFoundError" || nameOf(error) === "TypeError") return null;
    throw storageError(error, file);
  }
}

/** A file that is only added to. It is locked against every other writer until `close`. */
export class AppendFile {
  #end: number;

  constructor(
    private readonly handle: SyncHandle,
    readonly path: string,
  ) {
    this.#end = handle.getSize();
  }

  /** Bytes. */
  get size(): number {
    return this.#end;
  }

  /** Adds all of `bytes` or nothing. Survives a killed tab at once, a power cut after `flush`. @throws storage.quota */
  append(bytes: Uint8Array): void {
    try {
      writeAll(this.handle, bytes, this.#end);
      this.#end += bytes.length;
    } catch (error) {
      this.handle.truncate(this.#end);
      throw storageError(error, this.path, bytes.length);
    }
  }

  readAll(): Uint8Array {
    const bytes = new Uint8Array(this.#end);
    let at = 0;
    while (at < bytes.length) {
      const count = this.handle.read(bytes.subarray(at), { at });
      if (count === 0) return bytes.slice(0, at);
      at += count;
    }
    return bytes;
  }

  truncate(size: number): void {
    this.handle.truncate(size);
    this.#end = size;
  }

  flush(): void {
    this.handle.flush();
  }

  close(): void {
    this.handle.close();
  }
}

function writeAll(handle: SyncHandle, bytes: Uint8Array, offset: number): void {
  let written = 0;
  while (written < bytes.length) {
    const count = handle.write(bytes.subarray(written), { at: offset + written });
    // The specification allows a short write on a full disk instead of an exception.
    if (count <= 0) throw new DOMException("no space left", "QuotaExceededError");
    written += count;
  }
}

/** A directory of the origin private file system. `path` is for messages only. */
export class Folder {
  constructor(
    private readonly handle: DirectoryHandle,
    readonly path: string,
  ) {}

  get name(): string {
    return this.handle.name;
  }

  #at(name: string): string {
    return this.path === "" ? name : `${this.path}/${name}`;
  }

  /** The folder `name`, made where it is missing. */
  async folder(name: string): Promise<Folder> {
    try {
      return new Folder(await this.handle.getDirectoryHandle(name, { create: true }), this.#at(name));
    } catch (error) {
      throw storageError(error, this.#at(name));
    }
  }

  /** The folder `name`, or null. */
  async find(name: string): Promise<Folder | null> {
    const found = await orNull(this.handle.getDirectoryHandle(name), this.#at(name));
    return found === null ? null : new Folder(found, this.#at(name));
  }

  /** Sorted by name. */
  async entries(): Promise<{ name: string; kind: "file" | "directory" }[]> {
    const found: { name: string; kind: "file" | "directory" }[] = [];
    for await (const entry of this.handle.values()) found.push({ name: entry.name, kind: entry.kind });
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Bytes of all files below. */
  async bytes(): Promise<number> {
    let sum = 0;
    for (const entry of await this.entries()) {
      if (entry.kind === "directory") sum += (await (await this.find(entry.name))?.bytes()) ?? 0;
      else sum += (await this.file(entry.name))?.size ?? 0;
    }
    return sum;
  }

  /** A snapshot of a file, or null where there is none. */
  async file(name: string): Promise<File | null> {
    const handle = await orNull(this.handle.getFileHandle(name), this.#at(name));
    return handle === null ? null : orNull(handle.getFile(), this.#at(name));
  }

  /** @throws storage.corrupt when the file is missing or unreadable */
  async read(name: string, start = 0, end?: number): Promise<Uint8Array> {
    const file = await this.file(name);
    if (file === null) throw storageError(new DOMException("missing", "NotFoundError"), this.#at(name));
    try {
      return new Uint8Array(await file.slice(start, end ?? file.size).arrayBuffer());
    } catch (error) {
      throw storageError(error, this.#at(name));
    }
  }

  /** Writes a whole file from pieces, as they come. On an error nothing stays behind. @returns bytes */
  async write(name: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number> {
    const path = this.#at(name);
    const handle = await this.#open(name);
    let size = 0;
    try {
      handle.truncate(0);
      for await (const piece of pieces) {
        writeAll(handle, piece, size);
        size += piece.length;
      }
      handle.flush();
    } catch (error) {
      handle.close();
      await this.remove(name);
      throw storageError(error, path, size);
    }
    handle.close();
    return size;
  }

  /**
   * Writes a file and reads it back before it returns: afterwards an older copy may go.
   * @throws storage.quota, storage.corrupt when the disk gave back something else
   */
  async writeVerified(name: string, bytes: Uint8Array): Promise<void> {
    await this.write(name, [bytes]);
    const file = await this.file(name);
    let same = file?.size === bytes.length;
    for (let at = 0; same && at < bytes.length; at += COMPARE_BYTES) {
      const stored = await this.read(name, at, Math.min(at + COMPARE_BYTES, bytes.length));
      for (let i = 0; i < stored.length; i++) if (stored[i] !== bytes[at + i]) same = false;
    }
    if (same) return;
    await this.remove(name);
    throw new NagiError("storage.corrupt", `${this.#at(name)} was not stored as it was written. Check the disk.`, {
      file: this.#at(name),
    });
  }

  /** Opens a file to add to it. @throws storage.busy while another tab has it open */
  async append(name: string): Promise<AppendFile> {
    return new AppendFile(await this.#open(name), this.#at(name));
  }

  /**
   * Replaces a JSON file so that a reader always finds the old or the new value: the new one is complete in `NAME.new`
   * before NAME is touched.
   */
  async writeJson(name: string, value: unknown): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    await this.write(`${name}.new`, [bytes]);
    const handle = await this.#open(name);
    try {
      handle.truncate(0);
      writeAll(handle, bytes, 0);
      handle.flush();
    } catch (error) {
      throw storageError(error, this.#at(name), bytes.length);
    } finally {
      handle.close();
    }
    await this.remove(`${name}.new`);
  }

  /** @returns null where neither NAME nor NAME.new holds a value that `schema` accepts */
  async readJson<T>(name: string, schema: ZodType<T>): Promise<T | null> {
    for (const candidate of [name, `${name}.new`]) {
      const file = await this.file(candidate);
      if (file === null) continue;
      const parsed = schema.safeParse(parseOrUndefined(await file.text()));
      if (parsed.success) return parsed.data;
    }
    return null;
  }

  /** Removes a file or a folder with everything in it; a missing one is fine. */
  async remove(name: string): Promise<void> {
    await orNull(this.handle.removeEntry(name, { recursive: true }), this.#at(name));
  }

  async #open(name: string): Promise<SyncHandle> {
    for (let attempt = 1; ; attempt++) {
      try {
        const opened = await answered(this.#openOnce(name));
        if (opened !== null) return opened;
        console.warn(`${this.#at(name)}: the browser did not say whether the file could be opened; asked again`);
        if (attempt === OPEN_ATTEMPTS) throw new DOMException("no answer", "NoModificationAllowedError");
      } catch (error) {
        // A tab that is being closed gives its files back a moment after its locks.
        if (nameOf(error) !== "NoModificationAllowedError" || attempt === OPEN_ATTEMPTS) {
          throw storageError(error, this.#at(name));
        }
        await new Promise((resolve) => setTimeout(resolve, OPEN_PAUSE));
      }
    }
  }

  async #openOnce(name: string): Promise<SyncHandle> {
    return (await this.handle.getFileHandle(name, { create: true })).createSyncAccessHandle();
  }
}

/** The handle, or null where none came in time; one that comes later is closed: nobody waits for it any more. */
function answered(opening: Promise<SyncHandle>): Promise<SyncHandle | null> {
  return new Promise((resolve, reject) => {
    const lost = setTimeout(() => {
      resolve(null);
      opening.then((late) => late.close()).catch(() => undefined);
    }, ANSWER_WITHIN);
    opening.then(resolve, reject).finally(() => clearTimeout(lost));
  });
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The pieces of a file on disk, as a stream that is never whole in memory. */
export async function* piecesOf(file: Blob): AsyncGenerator<Uint8Array> {
  const reader = file.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** The site's private root. @throws storage.unavailable where the browser has none or denies it */
export async function openRoot(storage: StorageManager | undefined): Promise<Folder> {
  if (typeof storage?.getDirectory !== "function") {
    const message = "this browser has no origin private file system";
    throw new NagiError(
      "storage.unavailable",
      `Runs cannot be stored: ${message}. Use a current browser over https or localhost.`,
      {
        message,
      },
    );
  }
  try {
    return new Folder(await storage.getDirectory(), "");
  } catch (error) {
    throw storageError(error, "storage");
  }
}
