/** The text of a data file, whatever its encoding. */
import { NagiError } from "../../../src/shared/errors";

export type Encoding = "utf-8" | "utf-16le" | "utf-16be" | "shift_jis" | "euc-jp";

export interface DecodedText {
  /** Without a byte order mark, lines ended by "\n". */
  readonly text: string;
  readonly encoding: Encoding;
}

/** First bytes of files that are not text but often end up where text belongs. */
const BINARY: readonly (readonly [string, readonly number[]])[] = [
  ["a zip archive or an Excel workbook", [0x50, 0x4b, 0x03, 0x04]],
  ["an old Excel workbook", [0xd0, 0xcf, 0x11, 0xe0]],
  ["a Parquet file", [0x50, 0x41, 0x52, 0x31]],
  ["compressed by gzip", [0x1f, 0x8b]],
  ["a PDF", [0x25, 0x50, 0x44, 0x46]],
];

/** data.unreadable: details { file, reason, line (0 where it is not about one line) }. */
export function unreadable(file: string, reason: string, line = 0): NagiError {
  const place = line > 0 ? `${file}, line ${line}` : file;
  return new NagiError("data.unreadable", `${place}: ${reason}. Save it as UTF-8 text (JSONL, CSV or TSV).`, {
    file,
    reason,
    line,
  });
}

function tryDecode(bytes: Uint8Array, encoding: Encoding): string | null {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Kana and common punctuation of Japanese minus what only a wrong encoding produces in bulk. */
function looksJapanese(text: string): number {
  const wanted = text.match(/[\u3001\u3002\u3040-\u30ff]/g)?.length ?? 0;
  const unwanted = text.match(/[\uff61-\uff9f\ue000-\uf8ff]/g)?.length ?? 0;
  return wanted - 2 * unwanted;
}

/**
 * Decodes UTF-8, UTF-16 with a byte order mark, Shift_JIS or EUC-JP (as Windows and old exports write them). Rejects
 * with data.unreadable.
 */
export function decodeText(bytes: Uint8Array, file: string): DecodedText {
  for (const [what, signature] of BINARY) {
    if (signature.every((byte, i) => bytes[i] === byte)) throw unreadable(file, `is ${what}, not text`);
  }
  const utf16 = utf16ByMark(bytes);
  if (utf16) return finish(tryDecode(bytes, utf16) ?? fail(file, bytes), utf16, file);
  const utf8 = tryDecode(bytes, "utf-8");
  if (utf8 !== null) return finish(utf8, "utf-8", file);
  const guesses = (["shift_jis", "euc-jp"] as const).flatMap((encoding) => {
    const text = tryDecode(bytes, encoding);
    return text === null ? [] : [{ text, encoding, score: looksJapanese(text) }];
  });
  guesses.sort((a, b) => b.score - a.score);
  const best = guesses[0];
  // Any bytes may happen to be valid Shift_JIS; without Japanese in it, it is more likely something else.
  if (!best || best.score <= 0) return fail(file, bytes);
  return finish(best.text, best.encoding, file);
}

function utf16ByMark(bytes: Uint8Array): Encoding | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "utf-16be";
  return null;
}

function finish(text: string, encoding: Encoding, file: string): DecodedText {
  const normalised = normaliseText(text);
  const zero = normalised.indexOf("\0");
  // NUL is no text; a binary file without a known signature ends here.
  if (zero >= 0) throw unreadable(file, "holds binary data", countLines(normalised.slice(0, zero)) + 1);
  return { text: normalised, encoding };
}

/** Without a byte order mark; "\r\n" and "\r" become "\n". */
export function normaliseText(text: string): string {
  const body = text.startsWith("\ufeff") ? text.slice(1) : text;
  return body.includes("\r") ? body.replace(/\r\n?/g, "\n") : body;
}

export function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}

function fail(file: string, bytes: Uint8Array): never {
  const lossy = new TextDecoder().decode(bytes);
  const at = lossy.indexOf("\ufffd");
  throw unreadable(
    file,
    "its characters are neither UTF-8 nor Shift_JIS nor EUC-JP",
    countLines(lossy.slice(0, Math.max(at, 0))) + 1,
  );
}
