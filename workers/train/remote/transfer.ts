/** Blobs to and from a worker: in pieces, from where an earlier attempt has stopped, over as many connections as it takes. */
import { NagiError } from "../../../src/shared/errors";
import { MAX_PIECE_BYTES } from "../../../src/shared/protocol/remote";
import { type Link, LinkLost } from "./link";
import type { AskOptions, RemoteWorker } from "./worker";

/** Pieces on their way at a time: enough to fill a line across an ocean. */
const WINDOW = 8;

export interface BlobSource {
  readonly sha256: string;
  readonly bytes: number;
  /** Bytes [start, end). */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** A file that is being filled from its beginning. */
export interface BlobSink {
  /** Bytes that are there already. */
  readonly size: number;
  append(bytes: Uint8Array): void;
}

/**
 * Brings a blob to the worker unless it has it. @param advance told of bytes that have arrived, from 0
 * @throws storage.corrupt where the worker received something else, worker.too_large, storage.quota
 */
export function uploadBlob(
  worker: RemoteWorker,
  blob: BlobSource,
  advance: (done: number) => void,
  options: AskOptions,
): Promise<void> {
  return worker.overLinks(async (link) => {
    const { sha256, bytes: total } = blob;
    const known = await link.request<"stat_blob">({ name: "stat_blob", sha256, bytes: total });
    let { bytes: arrived, complete } = known;
    const waiting: Promise<{ bytes: number; complete: boolean }>[] = [];
    for (let offset = arrived; !complete; ) {
      options.signal?.throwIfAborted();
      // An empty blob is one empty piece.
      while (waiting.length < WINDOW && (offset < total || (total === 0 && waiting.length === 0))) {
        const end = Math.min(total, offset + MAX_PIECE_BYTES);
        const piece = await blob.read(offset, end);
        const answer = link.writeBlob(sha256, offset, total, piece);
        // Looked at in its turn.
        answer.catch(() => undefined);
        waiting.push(answer);
        offset = end;
      }
      const answer = await waiting.shift();
      if (answer === undefined) throw incomplete(sha256);
      ({ bytes: arrived, complete } = answer);
      advance(arrived);
    }
    advance(total);
  }, options);
}

/** Fetches the rest of a blob into `sink`. The caller checks its hash. @throws storage.*, what the worker refuses with */
export function downloadBlob(
  worker: RemoteWorker,
  { sha256, bytes }: { readonly sha256: string; readonly bytes: number },
  sink: BlobSink,
  advance: (done: number) => void,
  options: AskOptions,
): Promise<void> {
  return worker.overLinks(async (link) => {
    const waiting: Promise<Uint8Array>[] = [];
    for (let asked = sink.size; sink.size < bytes; ) {
      options.signal?.throwIfAborted();
      for (; waiting.length < WINDOW && asked < bytes; asked += MAX_PIECE_BYTES)
        waiting.push(ask(link, sha256, asked, Math.min(MAX_PIECE_BYTES, bytes - asked)));
      const piece = await waiting.shift();
      if (piece === undefined) throw incomplete(sha256);
      sink.append(piece);
      advance(sink.size);
    }
  }, options);
}

function ask(link: Link, sha256: string, offset: number, bytes: number): Promise<Uint8Array> {
  const answer = link.readBlob(sha256, offset, bytes).then((piece) => {
    // Pieces are appended in order: a short one would shift all that follow. What is missing is asked for anew.
    if (piece.length === bytes) return piece;
    const problem = `a piece of ${piece.length} bytes instead of ${bytes}`;
    throw new LinkLost("worker.unreachable", `The worker sent ${problem}.`, { url: "", problem });
  });
  answer.catch(() => undefined);
  return answer;
}

function incomplete(sha256: string): NagiError {
  return new NagiError("storage.corrupt", `The blob ${sha256} did not arrive as it was sent. Try again.`, {
    file: sha256,
  });
}
