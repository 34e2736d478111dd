/**
 * Reads zip archives whose entries are stored without compression, as torch.save writes them (zip64 included), and
 * writes small ones. Sizes are checked against the file before anything is read.
 */
import type { FileSource } from "./source";

export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  readonly crc32: number;
  /** Byte of the local header; the data's own place is known once that header is read. */
  readonly headerOffset: number;
}

/** What is wrong with an archive, without the file's name: the caller knows what the file was for. */
export class ZipError extends Error {
  override readonly name = "ZipError";
}

const END = 0x0605_4b50;
const END64 = 0x0606_4b50;
const END64_LOCATOR = 0x0706_4b50;
const CENTRAL = 0x0201_4b50;
const LOCAL = 0x0403_4b50;
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20;

async function view(source: FileSource, path: string, start: number, length: number, size: number): Promise<DataView> {
  if (start < 0 || length < 0 || start + length > size) {
    throw new ZipError(`bytes ${start} to ${start + length} lie outside the file of ${size} bytes`);
  }
  const bytes = await source.read(path, start, start + length);
  if (bytes.byteLength !== length) throw new ZipError("the file became shorter while it was read");
  return new DataView(bytes.buffer, bytes.byteOffset, length);
}

function safe(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ZipError(`${what} is impossibly large (${value})`);
  return Number(value);
}

interface Directory {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

async function findDirectory(source: FileSource, path: string, size: number): Promise<Directory> {
  const tailLength = Math.min(size, 22 + 65_535);
  const tailStart = size - tailLength;
  const tail = await view(source, path, tailStart, tailLength, size);
  for (let at = tailLength - 22; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END) continue;
    const directory = {
      count: tail.getUint16(at + 10, true),
      size: tail.getUint32(at + 12, true),
      offset: tail.getUint32(at + 16, true),
    };
    const needs64 = directory.count === 0xffff || directory.size === 0xffff_ffff || directory.offset === 0xffff_ffff;
    return needs64 ? await findDirectory64(source, path, size, tailStart + at) : directory;
  }
  throw new ZipError("there is no end of archive (cut off?)");
}

async function findDirectory64(source: FileSource, path: string, size: number, endAt: number): Promise<Directory> {
  const locator = await view(source, path, endAt - 20, 20, size);
  if (locator.getUint32(0, true) !== END64_LOCATOR) throw new ZipError("the zip64 locator is missing");
  const at = safe(locator.getBigUint64(8, true), "the zip64 directory's place");
  const end = await view(source, path, at, 56, size);
  if (end.getUint32(0, true) !== END64) throw new ZipError("the zip64 end of archive is missing");
  return {
    count: safe(end.getBigUint64(32, true), "the number of entries"),
    size: safe(end.getBigUint64(40, true), "the directory's size"),
    offset: safe(end.getBigUint64(48, true), "the directory's place"),
  };
}

/** All entries by name. Throws ZipError. */
export async function openZip(source: FileSource, path: string): Promise<Map<string, ZipEntry>> {
  const fileSize = await source.size(path);
  if (fileSize < 22) throw new ZipError(`${fileSize} bytes are too few for a zip archive`);
  const directory = await findDirectory(source, path, fileSize);
  if (directory.size > MAX_DIRECTORY_BYTES) throw new ZipError(`its directory claims ${directory.size} bytes`);
  const data = await view(source, path, directory.offset, directory.size, fileSize);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < directory.count; i++) {
    if (at + 46 > data.byteLength || data.getUint32(at, true) !== CENTRAL) {
      throw new ZipError(`directory entry ${i} is damaged`);
    }
    const nameLength = data.getUint16(at + 28, true);
    const extraLength = data.getUint16(at + 30, true);
    const next = at + 46 + nameLength + extraLength + data.getUint16(at + 32, true);
    if (next > data.byteLength) throw new ZipError(`directory entry ${i} is cut off`);
    const name = new TextDecoder().decode(new Uint8Array(data.buffer, data.byteOffset + at + 46, nameLength));
    if (data.getUint16(at + 8, true) & 1) throw new ZipError(`${name} is encrypted`);
    if (data.getUint16(at + 10, true) !== 0) throw new ZipError(`${name} is compressed, which torch.save never does`);
    const entry = readSizes(data, at, nameLength, extraLength, name);
    if (entry.headerOffset + 30 + entry.size > fileSize) {
      throw new ZipError(`${name} claims ${entry.size} bytes at ${entry.headerOffset}, past the end of the file`);
    }
    if (entries.has(name)) throw new ZipError(`${name} is listed twice`);
    entries.set(name, entry);
    at = next;
  }
  return entries;
}

/** Sizes of a directory entry; those of 0xffffffff continue in the zip64 extra field, in this order. */
function readSizes(data: DataView, at: number, nameLength: number, extraLength: number, name: string): ZipEntry {
  let compressed = data.getUint32(at + 20, true);
  let size = data.getUint32(at + 24, true);
  let headerOffset = data.getUint32(at + 42, true);
  let field = at + 46 + nameLength;
  const end = field + extraLength;
  while (field + 4 <= end) {
    const id = data.getUint16(field, true);
    const stop = field + 4 + data.getUint16(field + 2, true);
    if (stop > end) break;
    if (id === 1) {
      let value = field + 4;
      const take = (what: string): number => {
        if (value + 8 > stop) throw new ZipError(`${name}: its zip64 field is too short`);
        value += 8;
        return safe(data.getBigUint64(value - 8, true), what);
      };
      if (size === 0xffff_ffff) size = take(`${name}: its size`);
      if (compressed === 0xffff_ffff) compressed = take(`${name}: its stored size`);
      if (headerOffset === 0xffff_ffff) headerOffset = take(`${name}: its place`);
    }
    field = stop;
  }
  if (size !== compressed) throw new ZipError(`${name} is stored in ${compressed} bytes but claims ${size}`);
  return { name, size, crc32: data.getUint32(at + 16, true), headerOffset };
}

/** File position of an entry's first byte of data. Throws ZipError. */
export async function dataOffset(source: FileSource, path: string, entry: ZipEntry): Promise<number> {
  const fileSize = await source.size(path);
  const header = await view(source, path, entry.headerOffset, 30, fileSize);
  if (header.getUint32(0, true) !== LOCAL) throw new ZipError(`${entry.name} has no local header`);
  const offset = entry.headerOffset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  if (offset + entry.size > fileSize) throw new ZipError(`${entry.name} is cut off`);
  return offset;
}

let crcTable: Uint32Array | undefined;

/** The CRC-32 that zip uses. */
export function crc32(bytes: Uint8Array): number {
  if (!crcTable) {
    crcTable = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
      let value = i;
      for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
      crcTable[i] = value;
    }
  }
  let crc = 0xffff_ffff;
  for (let i = 0; i < bytes.length; i++) crc = (crcTable[(crc ^ (bytes[i] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffff_ffff) >>> 0;
}
