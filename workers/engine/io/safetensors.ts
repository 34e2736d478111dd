/**
 * The safetensors format: u64 header length, JSON header, then the tensors' bytes without gaps.
 * Everything a header claims is checked before anything is allocated: files come from strangers.
 */
import { NagiError } from "../../../src/shared/errors";
import { DTYPE_BYTES, type Dtype, type FloatDtype, fromFloat32, isDtype, toFloat32 } from "./dtype";
import { findDuplicateKey } from "./json-keys";
import { descriptionLimit, type FileSource } from "./source";
import { PIECE_ELEMENTS, piecesOfTensor, type TensorValues, wholeTensor } from "./tensors";

export interface TensorEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Bytes in the file: [start, end). */
  readonly start: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** As Hugging Face's own reader. */
const MAX_HEADER_BYTES = 100_000_000;
/** The header is an object of tensors, each an object with two lists. */
const MAX_DEPTH = 3;

const WAY_OUT = "Download or export the file again.";

/** What messages name in place of a tensor where the whole header is meant. */
const HEADER = "(header)";

/** model.bad_safetensors: details { file, tensor, reason }. */
function bad(file: string, reason: string, tensor = HEADER): NagiError {
  const place = tensor !== HEADER ? `${file}, tensor ${JSON.stringify(tensor)}` : file;
  return new NagiError("model.bad_safetensors", `${place}: ${reason}. ${WAY_OUT}`, { file, tensor, reason });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Bytes of the JSON header of a file of `fileSize` bytes that begins with `start` (8 bytes or more). */
export function headerLength(start: Uint8Array, fileSize: number, file: string): number {
  if (fileSize < 8 || start.byteLength < 8)
    throw bad(file, `has ${fileSize} bytes, fewer than the 8 of a header length`);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(fileSize - 8)) {
    throw bad(
      file,
      `the header claims ${length} bytes, but only ${fileSize - 8} follow it (not safetensors, or cut off)`,
    );
  }
  if (length > MAX_HEADER_BYTES)
    throw bad(file, `the header claims ${length} bytes, more than the allowed ${MAX_HEADER_BYTES}`);
  return Number(length);
}

/** Parses and checks the header of a file of `fileSize` bytes; `start` holds at least the header. */
export function parseHeader(start: Uint8Array, fileSize: number, file: string): SafetensorsHeader {
  const length = headerLength(start, fileSize, file);
  const json = parseJson(start.subarray(8, 8 + length), file);
  const metadata: Record<string, string> = {};
  const tensors = new Map<string, TensorEntry>();
  const dataStart = 8 + length;
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") {
      if (!isObject(value)) throw bad(file, "__metadata__ is not an object");
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== "string") throw bad(file, `__metadata__.${key} is not a string`);
        metadata[key] = text;
      }
    } else tensors.set(name, parseEntry(name, value, dataStart, fileSize, file));
  }
  checkLayout([...tensors.values()], dataStart, fileSize, file);
  return { metadata, tensors };
}

function parseJson(bytes: Uint8Array, file: string): Record<string, unknown> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw bad(file, "the header is not JSON (it is not UTF-8)");
  }
  if (depthOf(text) > MAX_DEPTH) throw bad(file, `the header is nested more than ${MAX_DEPTH} deep`);
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw bad(file, `the header is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (!isObject(json)) throw bad(file, "the header is not a JSON object");
  const twice = findDuplicateKey(text);
  if (twice !== null) throw bad(file, "the header lists this key twice", twice);
  return json;
}

/** How deep brackets nest in a JSON text, at most one more than MAX_DEPTH. What is no JSON may give any number. */
function depthOf(text: string): number {
  let depth = 0;
  let most = 0;
  for (let i = 0; i < text.length && most <= MAX_DEPTH; i++) {
    const character = text[i];
    if (character === "{" || character === "[") most = Math.max(most, ++depth);
    else if (character === "}" || character === "]") depth--;
    else if (character === '"') for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === "\\") i++;
  }
  return most;
}

/** A value from the file for a message: strangers write long ones. */
const brief = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 200);

function parseEntry(name: string, value: unknown, dataStart: number, fileSize: number, file: string): TensorEntry {
  if (!isObject(value)) throw bad(file, "the header entry is not an object", name);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw bad(file, "has no dtype", name);
  if (!isDtype(dtype)) throw unsupportedType(file, name, dtype);
  if (!isSizes(shape)) throw bad(file, `has no valid shape (${brief(shape)})`, name);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw bad(file, `has no valid data_offsets (${brief(offsets)})`, name);
  }
  const [begin = 0, end = 0] = offsets;
  const available = fileSize - dataStart;
  if (end < begin) throw bad(file, `ends at byte ${end}, before its start ${begin}`, name);
  if (end > available) {
    throw bad(file, `ends at byte ${end} of the data, but the file holds only ${available} (cut off?)`, name);
  }
  const bytes = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
  if (bytes !== end - begin) {
    const text = `${dtype} ${brief(shape)}`;
    throw bad(file, `${text} takes ${bytes} bytes, but bytes ${begin} to ${end} are ${end - begin}`, name);
  }
  return { name, dtype, shape, start: dataStart + begin, end: dataStart + end };
}

/** model.tensor_type: details { file, tensor, dtype }. */
function unsupportedType(file: string, tensor: string, dtype: string): NagiError {
  return new NagiError(
    "model.tensor_type",
    `${file}, tensor ${JSON.stringify(tensor)}: Nagi cannot read ${dtype}. Save the model in float32, bfloat16 or float16.`,
    { file, tensor, dtype },
  );
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** The tensors must fill the data from its first byte to its last, one after another. */
function checkLayout(entries: TensorEntry[], dataStart: number, fileSize: number, file: string): void {
  entries.sort((a, b) => a.start - b.start || a.end - b.end);
  let position = dataStart;
  let previous = "";
  for (const { name, start, end } of entries) {
    if (start < position) {
      throw bad(file, `starts at byte ${start - dataStart} and overlaps ${JSON.stringify(previous)}`, name);
    }
    if (start > position) {
      throw bad(file, `bytes ${position - dataStart} to ${start - dataStart} before it belong to no tensor`, name);
    }
    position = end;
    previous = name;
  }
  if (position !== fileSize) {
    throw bad(file, `${fileSize - position} bytes at the end belong to no tensor`);
  }
}

/** Reads and checks the header of `path`, without the tensors. */
export async function openSafetensors(source: FileSource, path: string): Promise<SafetensorsHeader> {
  const size = await source.size(path);
  const length = headerLength(await source.read(path, 0, 8), size, path);
  const allowed = descriptionLimit(size);
  if (length > allowed)
    throw bad(path, `the header claims ${length} bytes, more than the ${allowed} allowed in a file of ${size}`);
  return parseHeader(await source.read(path, 0, 8 + length), size, path);
}

/** A tensor's values as float32, row-major, piece by piece. */
export async function* tensorPieces(
  source: FileSource,
  path: string,
  { name, dtype, start, end }: TensorEntry,
): AsyncGenerator<Float32Array> {
  const step = PIECE_ELEMENTS * DTYPE_BYTES[dtype];
  for (let at = start; at < end; at += step) {
    const stop = Math.min(end, at + step);
    const bytes = await source.read(path, at, stop);
    if (bytes.byteLength !== stop - at) throw bad(path, "the file became shorter while it was read", name);
    yield toFloat32(bytes, dtype);
  }
}

/** One tensor as float32, row-major. */
export function readTensor(source: FileSource, path: string, entry: TensorEntry): Promise<Float32Array> {
  const length = (entry.end - entry.start) / DTYPE_BYTES[entry.dtype];
  return wholeTensor({ length, pieces: () => tensorPieces(source, path, entry) });
}

export interface TensorToWrite {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A tensor that may still be on disk, for `writeTensors`. */
export interface LazyTensorToWrite extends Omit<TensorToWrite, "data"> {
  readonly data: TensorValues;
}

/** A file that has its header and room for the tensors, and where each of them begins. */
function layOut(
  tensors: readonly LazyTensorToWrite[],
  metadata: Readonly<Record<string, string>>,
  dtype: FloatDtype,
): { readonly file: Uint8Array<ArrayBuffer>; readonly data: number } {
  const width = DTYPE_BYTES[dtype];
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(["__metadata__", metadata]);
  let position = 0;
  for (const { name, shape, data } of tensors) {
    const count = shape.reduce((product, size) => product * size, 1);
    if (count !== data.length) {
      throw new NagiError("internal", `cannot write ${name}: shape [${shape.join(", ")}] is not ${data.length} values`);
    }
    entries.push([name, { dtype, shape, data_offsets: [position, position + count * width] }]);
    position += count * width;
  }
  if (new Set(entries.map(([name]) => name)).size !== entries.length) {
    throw new NagiError("internal", "cannot write two tensors of the same name");
  }
  // Object.fromEntries would move integer-like names to the front.
  const json = `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const header = new TextEncoder().encode(json);
  const headerBytes = Math.ceil(header.byteLength / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + position);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8, 8 + headerBytes);
  file.set(header, 8);
  return { file, data: 8 + headerBytes };
}

/**
 * A safetensors file. Tensors keep their order; the header is padded with spaces to a multiple of 8 bytes, as Hugging
 * Face's writer does, so that data is aligned. `data.length` is the product of `shape`.
 */
export function writeSafetensors(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
  dtype: FloatDtype = "F32",
): Uint8Array<ArrayBuffer> {
  const { file, data: start } = layOut(tensors, metadata, dtype);
  let offset = start;
  for (const { data } of tensors) {
    fromFloat32(data, dtype, file, offset);
    offset += data.length * DTYPE_BYTES[dtype];
  }
  return file;
}

/** The same from tensors that are read as they are written: nothing but the file is in memory. Rejects as they do. */
export async function writeTensors(
  tensors: readonly LazyTensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
  dtype: FloatDtype = "F32",
): Promise<Uint8Array<ArrayBuffer>> {
  const { file, data: start } = layOut(tensors, metadata, dtype);
  let offset = start;
  for (const { data } of tensors)
    for await (const piece of piecesOfTensor(data)) {
      fromFloat32(piece, dtype, file, offset);
      offset += piece.length * DTYPE_BYTES[dtype];
    }
  return file;
}
