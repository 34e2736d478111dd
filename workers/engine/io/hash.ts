/** SHA-256 of files that may be larger than memory: the browser's own where a file is small, piece by piece where not. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { hashBytes } from "../../../src/shared/protocol/artefact";
import type { FileSource } from "./source";

/** crypto.subtle takes a whole file, and is faster. */
const WHOLE = 64 << 20;
const PIECE = 4 << 20;

/** In hex. @param whole bytes up to which a file is read at once; tests make it small */
export async function hashFile(source: FileSource, path: string, whole = WHOLE): Promise<string> {
  const size = await source.size(path);
  if (size <= whole) return hashBytes(await source.read(path));
  const hash = sha256.create();
  for (let at = 0; at < size; at += PIECE) hash.update(await source.read(path, at, Math.min(size, at + PIECE)));
  return bytesToHex(hash.digest());
}
