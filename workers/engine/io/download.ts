/**
 * Files of a hub into a folder of this machine: continued where an earlier try ended, and counted as there only after
 * size and hash were found right. Nothing is held in memory but the piece at hand.
 */
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { NagiError } from "../../../src/shared/errors";
import { type Hub, type HubFile, type HubRepo, unreachable } from "./hub";
import { type AppendFile, type Folder, piecesOf } from "./opfs";

/** Tries in a row that bring nothing new before a download gives up, and milliseconds before each. */
const PATIENCE = [500, 1000, 2000, 4000, 8000] as const;

export interface DownloadOptions {
  /** Ends it; what has arrived stays. */
  readonly signal?: AbortSignal;
  /** Bytes of this file that are stored, those of earlier tries included; called for every piece. */
  readonly onBytes?: (stored: number) => void;
  /** Milliseconds to wait between tries; replaced in tests. */
  readonly wait?: (milliseconds: number) => Promise<void>;
}

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Brings one file of a repository into `folder` under its own name.
 * @throws hub.* when nothing more arrives, hub.corrupted when what arrived is not what the hub has, storage.quota
 */
export async function downloadFile(
  hub: Hub,
  repo: HubRepo,
  file: HubFile,
  folder: Folder,
  options: DownloadOptions = {},
): Promise<void> {
  // A file may have been damaged by an earlier, interrupted try: once more from the beginning, then it is the hub's.
  for (const last of [false, true]) {
    const etag = await fetchRest(hub, repo, file, folder, options);
    if (await isRight(folder, file, etag)) return;
    await folder.remove(file.path);
    if (last) throw corrupted(repo, file);
  }
}

/** @returns the hash that the last answer named, if there was one */
async function fetchRest(
  hub: Hub,
  repo: HubRepo,
  file: HubFile,
  folder: Folder,
  options: DownloadOptions,
): Promise<string | null> {
  const { signal, wait = sleep } = options;
  for (let failures = 0; ; ) {
    const before = (await folder.file(file.path))?.size ?? 0;
    try {
      return await fetchOnce(hub, repo, file, folder, options);
    } catch (error) {
      // A full disk, a missing file or a missing right do not get better by trying.
      if (signal?.aborted || !(error instanceof NagiError) || error.code !== "hub.unreachable") throw error;
      const stored = (await folder.file(file.path))?.size ?? 0;
      failures = stored > before ? 0 : failures + 1;
      const pause = PATIENCE[failures];
      if (pause === undefined) throw error;
      await wait(pause);
    }
  }
}

/** One request. Resolves when the file has its size. @throws hub.unreachable where the connection broke before that */
async function fetchOnce(
  hub: Hub,
  repo: HubRepo,
  file: HubFile,
  folder: Folder,
  { signal, onBytes }: DownloadOptions,
): Promise<string | null> {
  const stored = await folder.append(file.path);
  try {
    if (stored.size > file.bytes) stored.truncate(0);
    onBytes?.(stored.size);
    if (stored.size === file.bytes) return null;
    const { offset, body, etag } = await hub.open(repo, file, stored.size, signal);
    if (offset > stored.size) throw corrupted(repo, file);
    stored.truncate(offset);
    await take(body, stored, repo, file, onBytes);
    if (stored.size < file.bytes)
      throw unreachable(repo.repo, undefined, `${file.path} ended after ${stored.size} of ${file.bytes} bytes`);
    stored.flush();
    return etag;
  } finally {
    stored.close();
  }
}

async function take(
  body: ReadableStream<Uint8Array>,
  stored: AppendFile,
  repo: HubRepo,
  file: HubFile,
  onBytes: DownloadOptions["onBytes"],
): Promise<void> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await broken(repo, () => reader.read());
      if (done) return;
      // More than was announced is never written: a server must not fill the disk.
      if (stored.size + value.length > file.bytes) throw corrupted(repo, file);
      stored.append(value);
      onBytes?.(stored.size);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** A stream that breaks is a connection that broke. */
async function broken<T>(repo: HubRepo, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw unreachable(repo.repo, cause);
  }
}

/** Whether the stored file has the hash that the hub names, or else the answer's ETag; its size is known to be right. */
async function isRight(folder: Folder, file: HubFile, etag: string | null): Promise<boolean> {
  const listed = file.sha256 !== null || file.blob !== null;
  const { sha256: wanted, blob } = listed
    ? file
    : { sha256: etag?.length === 64 ? etag : null, blob: etag?.length === 40 ? etag : null };
  const { bytes } = file;
  const stored = await folder.file(file.path);
  if (stored === null) return false;
  if (wanted === null && blob === null) return true;
  const hash = wanted === null ? sha1.create().update(new TextEncoder().encode(`blob ${bytes}\0`)) : sha256.create();
  for await (const piece of piecesOf(stored)) hash.update(piece);
  return bytesToHex(hash.digest()) === (wanted ?? blob);
}

function corrupted({ repo }: HubRepo, { path }: HubFile): NagiError {
  return new NagiError(
    "hub.corrupted",
    `${repo}: ${path} did not arrive as the hub describes it. Try again; if it happens again, the network changes files.`,
    { repo, file: path },
  );
}
