/** Binary frames of the wire: u32 (little endian) length of the header, the header as JSON in UTF-8, raw bytes. */
import { NagiError } from "../../../src/shared/errors";
import {
  type BlobHeader,
  blobHeader,
  MAX_FRAME_BYTES,
  type WriteBlobHeader,
} from "../../../src/shared/protocol/remote";

const LENGTH = 4;

export function encodeFrame(header: WriteBlobHeader | BlobHeader, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const frame = new Uint8Array(LENGTH + text.length + bytes.length);
  new DataView(frame.buffer).setUint32(0, text.length, true);
  frame.set(text, LENGTH);
  frame.set(bytes, LENGTH + text.length);
  return frame;
}

/** @throws worker.bad_message {problem} */
export function decodeBlob(frame: Uint8Array): { header: BlobHeader; bytes: Uint8Array } {
  const { header, bytes } = splitFrame(frame);
  const parsed = blobHeader.safeParse(header);
  if (!parsed.success) throw badMessage("the header of a binary frame is not a blob's");
  return { header: parsed.data, bytes };
}

/** @throws worker.bad_message {problem} */
export function splitFrame(frame: Uint8Array): { header: unknown; bytes: Uint8Array } {
  if (frame.length > MAX_FRAME_BYTES) throw badMessage(`a frame of ${frame.length} bytes`);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const length = frame.length < LENGTH ? Number.POSITIVE_INFINITY : view.getUint32(0, true);
  if (LENGTH + length > frame.length) throw badMessage("a binary frame is shorter than its header");
  const header = parseJson(new TextDecoder().decode(frame.subarray(LENGTH, LENGTH + length)));
  return { header, bytes: frame.subarray(LENGTH + length) };
}

/** @throws worker.bad_message {problem} */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badMessage("a message is not JSON");
  }
}

/** worker.bad_message {problem}. */
export function badMessage(problem: string): NagiError {
  return new NagiError(
    "worker.bad_message",
    `The worker and the studio do not understand each other: ${problem}. Install the same version on both sides.`,
    { problem },
  );
}
