/**
 * The checkpoints of one run in its folder: `checkpoint-STEP.safetensors`, the newest two, and `checkpoints.json`, which
 * names those that are complete with their SHA-256. A file the index does not name is the rest of a save that was cut
 * short and is removed.
 */
import { z } from "zod";
import { NagiError } from "../../../src/shared/errors";
import type { Folder } from "./opfs";

const INDEX = "checkpoints.json";
/** Checkpoints of a run that are kept; while one is written there is one more. */
export const KEPT_CHECKPOINTS = 2;

const indexSchema = z.array(
  z.strictObject({ step: z.int().min(0), file: z.string(), bytes: z.int().min(0), sha256: z.string().length(64) }),
);

type Entry = z.infer<typeof indexSchema>[number];

/** Bytes that the browser would still give this site; null where it does not say. */
export type FreeBytes = () => Promise<number | null>;

export class CheckpointShelf {
  constructor(
    private readonly folder: Folder,
    readonly free: FreeBytes,
  ) {}

  /** Oldest first. */
  async list(): Promise<Entry[]> {
    const index = (await this.folder.readJson(INDEX, indexSchema)) ?? [];
    return index.sort((a, b) => a.step - b.step);
  }

  /**
   * Stores a checkpoint; the older ones stay readable until it was read back and indexed.
   * @throws storage.quota {needed, available} before anything is written where the browser's estimate says so
   */
  async saveCheckpoint(step: number, bytes: Uint8Array): Promise<void> {
    const kept = await this.list();
    await this.#sweep(kept);
    const available = await this.free();
    if (available !== null && available < bytes.length) throw noRoom(step, bytes.length, available);
    const hash = await sha256(bytes);
    const same = kept.find((entry) => entry.step === step);
    if (same?.sha256 === hash && (await this.#intact(same)) !== null) return;
    // Going back to an earlier checkpoint repeats steps; the file that is there stays until the new one is indexed.
    const plain = `checkpoint-${step}.safetensors`;
    const file = same?.file === plain ? `checkpoint-${step}-again.safetensors` : plain;
    try {
      await this.folder.writeVerified(file, bytes);
    } catch (error) {
      const full = error instanceof NagiError && error.code === "storage.quota";
      throw full ? noRoom(step, bytes.length, null) : error;
    }
    const next = [...kept.filter((entry) => entry.step < step), { step, file, bytes: bytes.length, sha256: hash }];
    const newest = next.slice(-KEPT_CHECKPOINTS);
    await this.folder.writeJson(INDEX, newest);
    await this.#sweep(newest);
  }

  /** The bytes of `newest`: what a resuming stage asks for. */
  async loadCheckpoint(): Promise<Uint8Array | null> {
    return (await this.newest())?.bytes ?? null;
  }

  /**
   * The newest complete checkpoint whose bytes are what was stored, else the one before; null before the first.
   * @throws storage.corrupt when there were checkpoints and none can be read
   */
  async newest(): Promise<{ step: number; bytes: Uint8Array } | null> {
    const entries = await this.list();
    for (const entry of entries.toReversed()) {
      const bytes = await this.#intact(entry);
      if (bytes !== null) return { step: entry.step, bytes };
    }
    if (entries.length === 0) return null;
    const file = `${this.folder.path}/${entries.at(-1)?.file ?? ""}`;
    throw new NagiError("storage.corrupt", `${file}: no checkpoint of this run is intact. Start the run again.`, {
      file,
    });
  }

  /** Removes all but the newest checkpoint, where the space is needed for something smaller. */
  async keepNewest(): Promise<void> {
    const newest = (await this.list()).slice(-1);
    // Files first: on a full disk there is no room for a new index, and an index may name a file that is gone.
    await this.#sweep(newest);
    await this.folder.writeJson(INDEX, newest);
  }

  async #intact(entry: Entry): Promise<Uint8Array | null> {
    const file = await this.folder.file(entry.file);
    if (file === null || file.size !== entry.bytes) return null;
    const bytes = await this.folder.read(entry.file);
    return (await sha256(bytes)) === entry.sha256 ? bytes : null;
  }

  async #sweep(kept: readonly Entry[]): Promise<void> {
    const names = new Set(kept.map((entry) => entry.file));
    for (const entry of await this.folder.entries()) {
      if (/^checkpoint-.*\.safetensors$/.test(entry.name) && !names.has(entry.name))
        await this.folder.remove(entry.name);
    }
  }
}

/** storage.quota {needed, available}: bytes; available is null where the browser does not say. */
function noRoom(step: number, needed: number, available: number | null): NagiError {
  const granted = available === null ? "too little" : `only ${available} bytes more`;
  return new NagiError(
    "storage.quota",
    `The checkpoint of step ${step} needs ${needed} bytes, but the browser grants this site ${granted}. The previous checkpoint is kept. Delete old runs or free disk space, then resume.`,
    { needed, available },
  );
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", unshared(bytes)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** WebCrypto takes no shared memory. */
function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer ? new Uint8Array(buffer, bytes.byteOffset, bytes.length) : new Uint8Array(bytes);
}
