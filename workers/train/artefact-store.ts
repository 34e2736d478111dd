/**
 * What stages have made, in OPFS under artefacts/ID/: the files below `files/`, and `entry.json`, written last. ID is the
 * SHA-256 of the manifest, which names each file by its own. A folder without its entry is the rest of a save that was
 * cut short; it is never listed and goes with the next save.
 */
import { z } from "zod";
import { NagiError } from "../../src/shared/errors";
import {
  type ArtefactManifest,
  type ArtefactRecord,
  artefactRecord,
  describeArtefact,
} from "../../src/shared/protocol/artefact";
import type { FreeBytes } from "../engine/io/checkpoint-shelf";
import { hashFile } from "../engine/io/hash";
import type { Folder } from "../engine/io/opfs";
import { BlobSource, type FileSource } from "../engine/io/source";
import type { Locks } from "./locks";
import type { PullFiles } from "./remote/results";

const ENTRY = "entry.json";
const FILES = "files";
/** Names the worker that has the files; without it they are here. */
const PLACE = "place.json";
const storedPlace = z.strictObject({ worker: z.string().min(1) });
/** Whoever adds or removes artefacts holds it, over all tabs. */
export const ARTEFACTS_LOCK = "nagi/artefacts";
/** Bytes written at a time. */
const PIECE = 4 << 20;
/** Room for the entry and the folders beside the files. */
const OVERHEAD = 64 << 10;

/** Fetches the files of an artefact from a worker. @throws worker.unknown, worker.* */
export type ArtefactFetcher = (record: ArtefactRecord, worker: string, files: PullFiles) => Promise<void>;

export class ArtefactStore {
  /**
   * @param folder holds one folder an artefact
   * @param changed told after every save and removal
   * @param fetcher null where no worker can be reached
   */
  constructor(
    private readonly folder: Folder,
    private readonly locks: Locks,
    private readonly free: FreeBytes,
    private readonly changed: () => void = () => undefined,
    private readonly fetcher: ArtefactFetcher | null = null,
  ) {}

  /** Newest first. */
  async list(): Promise<ArtefactRecord[]> {
    const found: ArtefactRecord[] = [];
    for (const { name } of await this.folder.entries()) {
      const record = await this.find(name);
      if (record !== null) found.push(record);
    }
    return found.sort((a, b) => b.created - a.created || (a.id < b.id ? -1 : 1));
  }

  /** The record, or null where there is none or it cannot be read. */
  async find(id: string): Promise<ArtefactRecord | null> {
    const record = await (await this.folder.find(id))?.readJson(ENTRY, artefactRecord);
    return record?.id === id ? record : null;
  }

  /** @throws artefact.not_found {id} */
  async record(id: string): Promise<ArtefactRecord> {
    const record = await this.find(id);
    if (record !== null) return record;
    throw new NagiError(
      "artefact.not_found",
      `There is no artefact ${id} on this machine. Run the stage that made it again.`,
      { id },
    );
  }

  /**
   * Stores files as an artefact; the same files with the same facts are the same artefact. Nothing is listed before all
   * of it was read back. @throws storage.quota {needed, available}, storage.corrupt: then nothing of it is left
   */
  async save(files: ReadonlyMap<string, Uint8Array>, facts: Omit<ArtefactManifest, "files">): Promise<ArtefactRecord> {
    const record = await describeArtefact(files, facts);
    const release = await this.locks.hold(ARTEFACTS_LOCK, new AbortController().signal);
    try {
      if ((await this.find(record.id)) !== null) return record;
      await this.#sweep();
      const needed = record.files.reduce((sum, { bytes }) => sum + bytes, OVERHEAD);
      const available = await this.free();
      if (available !== null && available < needed) throw noRoom(record.name, needed, available);
      try {
        await this.#write(record, files);
      } catch (error) {
        await this.folder.remove(record.id);
        const full = error instanceof NagiError && error.code === "storage.quota";
        throw full ? noRoom(record.name, needed, null) : error;
      }
    } finally {
      release();
    }
    this.changed();
    return record;
  }

  async remove(id: string): Promise<void> {
    const release = await this.locks.hold(ARTEFACTS_LOCK, new AbortController().signal);
    try {
      const folder = await this.folder.find(id);
      // Without its entry it is no longer listed, whatever becomes of the rest.
      await folder?.remove(ENTRY);
      await this.folder.remove(id);
    } finally {
      release();
    }
    this.changed();
  }

  /** Lists an artefact whose files stay on a worker. @throws storage.quota {needed, available} */
  async keep(record: ArtefactRecord, worker: string): Promise<void> {
    const release = await this.locks.hold(ARTEFACTS_LOCK, new AbortController().signal);
    try {
      if ((await this.find(record.id)) !== null) return;
      await this.#sweep();
      const folder = await this.folder.folder(record.id);
      await folder.writeJson(PLACE, { worker });
      await folder.writeJson(ENTRY, record);
    } finally {
      release();
    }
    this.changed();
  }

  /** The worker that has the files; null where they are here. */
  async placeOf(id: string): Promise<string | null> {
    return (await (await this.folder.find(id))?.readJson(PLACE, storedPlace))?.worker ?? null;
  }

  /** Of artefacts whose files are not here: id to worker. */
  async places(): Promise<Record<string, string>> {
    const places: Record<string, string> = {};
    for (const { id } of await this.list()) {
      const worker = await this.placeOf(id);
      if (worker !== null) places[id] = worker;
    }
    return places;
  }

  /**
   * Fetches the files where they are on a worker, from where an earlier attempt stopped.
   * @throws artefact.not_found, artefact.elsewhere {name, worker}, storage.quota, storage.corrupt, worker.*
   */
  async pull(id: string): Promise<void> {
    const record = await this.record(id);
    const release = await this.locks.hold(`nagi/pull/${id}`, new AbortController().signal);
    try {
      const worker = await this.placeOf(id);
      if (worker === null) return;
      if (this.fetcher === null) throw elsewhere(record, worker);
      const needed = record.files.reduce((sum, { bytes }) => sum + bytes, OVERHEAD);
      const available = await this.free();
      const here = (await (await this.folder.find(id))?.bytes()) ?? 0;
      if (available !== null && available + here < needed) throw noRoom(record.name, needed, available);
      await this.fetcher(record, worker, {
        open: async (path) => (await this.#fileFolder(id, path)).append(parts(path).name),
      });
      try {
        await this.#files(record);
      } catch (error) {
        // Fetched from the beginning the next time.
        await (await this.folder.find(id))?.remove(FILES);
        throw error;
      }
      await (await this.folder.find(id))?.remove(PLACE);
    } finally {
      release();
    }
    this.changed();
  }

  /** Its files, their hashes checked; fetched first where they are on a worker. @throws as `pull` */
  async open(id: string): Promise<{ record: ArtefactRecord; files: FileSource }> {
    const record = await this.record(id);
    await this.#here(id);
    return { record, files: new BlobSource(record.name, await this.#files(record)) };
  }

  /** By path, their hashes checked: what a download is made of. Fetched first as by `open`. @throws as `pull` */
  async files(id: string): Promise<Map<string, File>> {
    await this.#here(id);
    return this.#files(await this.record(id));
  }

  async sizes(): Promise<{ id: string; bytes: number }[]> {
    const sizes: { id: string; bytes: number }[] = [];
    for (const { name } of await this.folder.entries())
      sizes.push({ id: name, bytes: (await (await this.folder.find(name))?.bytes()) ?? 0 });
    return sizes;
  }

  async #here(id: string): Promise<void> {
    if ((await this.placeOf(id)) !== null) await this.pull(id);
  }

  /** The folder that a file lies in, made where it is missing. */
  async #fileFolder(id: string, path: string): Promise<Folder> {
    let parent = await (await this.folder.folder(id)).folder(FILES);
    for (const inner of parts(path).folders) parent = await parent.folder(inner);
    return parent;
  }

  async #write(record: ArtefactRecord, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const folder = await this.folder.folder(record.id);
    for (const [path, bytes] of files)
      await (await this.#fileFolder(record.id, path)).write(parts(path).name, pieces(bytes));
    await this.#files(record);
    await folder.writeJson(ENTRY, record);
  }

  async #files(record: ArtefactRecord): Promise<Map<string, File>> {
    const found = new Map<string, File>();
    for (const { path, bytes, sha256 } of record.files) {
      const { folders, name } = parts(path);
      let parent: Folder | null = this.folder;
      for (const inner of [record.id, FILES, ...folders]) parent = (await parent?.find(inner)) ?? null;
      const file = (await parent?.file(name)) ?? null;
      const source = new BlobSource(record.name, file === null ? new Map() : new Map([[path, file]]));
      const intact = file?.size === bytes && (await hashFile(source, path)) === sha256;
      if (file === null || !intact) throw corrupt(`${record.name}/${path}`);
      found.set(path, file);
    }
    return found;
  }

  /** Folders without an entry. Only with the lock held: another tab may be filling one. */
  async #sweep(): Promise<void> {
    for (const { name } of await this.folder.entries()) {
      const folder = await this.folder.find(name);
      if (folder === null) continue;
      const begun = (await folder.entries()).some((entry) => entry.name.startsWith(ENTRY));
      // An entry that this version cannot read stays, with its files.
      if (!begun) await this.folder.remove(name);
    }
  }
}

/** The folders of a path and the file's own name. */
function parts(path: string): { folders: string[]; name: string } {
  const folders = path.split("/");
  return { name: folders.pop() ?? "", folders };
}

/** artefact.elsewhere {name, worker}. */
function elsewhere({ name }: ArtefactRecord, worker: string): NagiError {
  const message = `The files of "${name}" are on the worker ${worker}, which cannot be reached from here.`;
  return new NagiError("artefact.elsewhere", message, { name, worker });
}

function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

function corrupt(file: string): NagiError {
  return new NagiError(
    "storage.corrupt",
    `${file} is not what was stored. Delete the artefact and run the stage that made it again.`,
    { file },
  );
}

/** storage.quota {needed, available}: bytes; available is null where the browser does not say. */
function noRoom(name: string, needed: number, available: number | null): NagiError {
  const granted = available === null ? "too little" : `only ${available} bytes more`;
  return new NagiError(
    "storage.quota",
    `"${name}" needs ${needed} bytes, but the browser grants this site ${granted}. What was stored before is kept. Delete old runs or artefacts, then resume.`,
    { needed, available },
  );
}
