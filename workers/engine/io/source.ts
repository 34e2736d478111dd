/**
 * A folder that can be read: a model in memory, behind a URL or picked by the user. Node's folders live in headless/,
 * OPFS in opfs.ts. Paths are relative, with "/" between the parts.
 */
import { NagiError } from "../../../src/shared/errors";

export interface FileSource {
  /** What messages call this folder. */
  readonly name: string;
  /** Paths of all files, sorted. */
  list(): Promise<string[]>;
  /** Bytes. Rejects with model.file_missing. */
  size(path: string): Promise<number>;
  /** Bytes [start, end), by default all; shorter where the file ends earlier. Rejects with model.file_missing. */
  read(path: string, start?: number, end?: number): Promise<Uint8Array>;
}

/**
 * Bytes that the description of a file of `size` bytes may have: a zip's directory, a pickle, the header of safetensors.
 * What a program makes of a description may be many times as large, so a file is given no more than a small share of itself
 * for it (of the six open-calm sizes it is below a thousandth); small files always get 1 MiB.
 */
export const descriptionLimit = (size: number): number => Math.max(1 << 20, Math.floor(size / 32));

/** model.file_missing: details { file, source, found }. */
export function fileMissing(file: string, source: string, found: readonly string[]): NagiError {
  const list = found.length === 0 ? "nothing" : found.slice(0, 20).join(", ");
  return new NagiError(
    "model.file_missing",
    `${source}: there is no ${file} (found: ${list}). Choose the folder that holds config.json and the weights.`,
    { file, source, found: list },
  );
}

/** A file that was there when it was listed, and has since been changed or deleted. */
function gone(file: string, source: string, cause: unknown): NagiError {
  return new NagiError(
    "model.file_missing",
    `${source}: ${file} can no longer be read. It was changed or deleted: open the model again.`,
    { file, source, found: "" },
    { cause },
  );
}

/** Files in memory. */
export class MapSource implements FileSource {
  constructor(
    readonly name: string,
    private readonly files: ReadonlyMap<string, Uint8Array>,
  ) {}

  async list(): Promise<string[]> {
    return [...this.files.keys()].sort();
  }

  async size(path: string): Promise<number> {
    return this.file(path).byteLength;
  }

  async read(path: string, start = 0, end = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
    const file = this.file(path);
    return file.subarray(start, Math.min(end, file.byteLength));
  }

  private file(path: string): Uint8Array {
    const file = this.files.get(path);
    if (!file) throw fileMissing(path, this.name, [...this.files.keys()].sort());
    return file;
  }
}

/** Files the user picked or dropped (File is a Blob): parts are read from disk on demand. */
export class BlobSource implements FileSource {
  constructor(
    readonly name: string,
    private readonly files: ReadonlyMap<string, Blob>,
  ) {}

  async list(): Promise<string[]> {
    return [...this.files.keys()].sort();
  }

  async size(path: string): Promise<number> {
    return this.file(path).size;
  }

  async read(path: string, start = 0, end = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
    const file = this.file(path);
    try {
      return new Uint8Array(await file.slice(start, Math.min(end, file.size)).arrayBuffer());
    } catch (cause) {
      throw gone(path, this.name, cause);
    }
  }

  private file(path: string): Blob {
    const file = this.files.get(path);
    if (!file) throw fileMissing(path, this.name, [...this.files.keys()].sort());
    return file;
  }
}

/** The text of a UTF-8 file. */
export async function readText(source: FileSource, path: string): Promise<string> {
  return new TextDecoder().decode(await source.read(path));
}

/** A file's JSON value. Rejects with `code` (details { file, field, problem, reason }) where it is not JSON. */
export async function readJson(
  source: FileSource,
  path: string,
  code: "model.bad_config" | "model.bad_tokenizer",
): Promise<unknown> {
  const text = await readText(source, path);
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NagiError(code, `${source.name}/${path} is not JSON (${reason}). Download the model again.`, {
      file: path,
      field: "JSON",
      problem: reason,
      reason,
    });
  }
}
