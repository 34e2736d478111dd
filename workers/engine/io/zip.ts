/**
 * Where the entries of a zip archive lie in its file, for archives whose entries are stored without compression, as
 * torch.save writes them. zip.js reads the directory (zip64 included) by ranges; what is asked of it beyond that is
 * refused here: compressed or encrypted entries, entries that overlap or lie outside the file. Nothing is ever inflated.
 */
import { ZipReader } from "@zip.js/zip.js/lib/zip-core-reader.js";
import { descriptionLimit, type FileSource } from "./source";

export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  /** Of its data; 0 also where the writer computed none. */
  readonly crc32: number;
  /** Byte of the local header; the data's own place is known once that header is read. */
  readonly headerOffset: number;
}

/** What is wrong with an archive, without the file's name: the caller knows what the file was for. */
export class ZipError extends Error {
  override readonly name = "ZipError";
}

const LOCAL = 0x0403_4b50;
/** A local header without its name and extra field; a directory entry without them. */
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;

/** Hands zip.js the ranges it asks for, within the file and never large ones: it only reads descriptions. */
class Ranges {
  /** Part of zip.js' type; what has a size and ranges is not read as a stream. */
  readonly readable = new ReadableStream<Uint8Array>();

  constructor(
    private readonly source: FileSource,
    private readonly path: string,
    readonly size: number,
  ) {}

  async readUint8Array(start: number, length: number): Promise<Uint8Array> {
    const end = Math.min(this.size, start + length);
    if (!(start >= 0 && end >= start)) throw new ZipError(`bytes ${start} to ${start + length} lie outside the file`);
    if (end - start > descriptionLimit(this.size)) throw new ZipError(`its directory claims ${length} bytes`);
    return await this.source.read(this.path, start, end);
  }
}

/** All entries by name. Throws ZipError. */
export async function openZip(source: FileSource, path: string): Promise<Map<string, ZipEntry>> {
  const fileSize = await source.size(path);
  if (fileSize < 22) throw new ZipError(`${fileSize} bytes are too few for a zip archive`);
  const reader = new ZipReader(new Ranges(source, path, fileSize), { useWebWorkers: false });
  const most = descriptionLimit(fileSize) / CENTRAL_BYTES;
  const entries = new Map<string, ZipEntry>();
  try {
    for await (const found of reader.getEntriesGenerator()) {
      const { filename: name, offset, compressedSize, uncompressedSize: size, encrypted, directory } = found;
      if (encrypted) throw new ZipError(`${name} is encrypted`);
      if (found.compressionMethod !== 0) throw new ZipError(`${name} is compressed, which torch.save never does`);
      if (![offset, size, compressedSize].every((value) => Number.isSafeInteger(value) && value >= 0))
        throw new ZipError(`${name} claims an impossible size or place`);
      if (size !== compressedSize)
        throw new ZipError(`${name} is stored in ${compressedSize} bytes but claims ${size}`);
      if (offset + LOCAL_BYTES + size > fileSize)
        throw new ZipError(`${name} claims ${size} bytes at ${offset}, past the end of the file`);
      if (entries.has(name)) throw new ZipError(`${name} is listed twice`);
      if (entries.size >= most) throw new ZipError("it has too many entries");
      if (!directory) entries.set(name, { name, size, crc32: (found.crc32 ?? 0) >>> 0, headerOffset: offset });
    }
  } catch (error) {
    if (error instanceof ZipError || !isOfLibrary(error)) throw error;
    throw new ZipError(error.message);
  }
  checkApart([...entries.values()]);
  return entries;
}

/** zip.js throws plain errors; those of the source (a file that is gone) are somebody else's. */
function isOfLibrary(error: unknown): error is Error {
  return error instanceof Error && (error.constructor === Error || error instanceof RangeError);
}

/** Bytes that several entries share would make a small file a large model. */
function checkApart(entries: ZipEntry[]): void {
  entries.sort((a, b) => a.headerOffset - b.headerOffset);
  let end = 0;
  let previous = "";
  for (const { name, headerOffset, size } of entries) {
    if (headerOffset < end) throw new ZipError(`${name} overlaps ${previous}`);
    end = headerOffset + LOCAL_BYTES + size;
    previous = name;
  }
}

/** File position of an entry's first byte of data. Throws ZipError. */
export async function dataOffset(source: FileSource, path: string, entry: ZipEntry): Promise<number> {
  const fileSize = await source.size(path);
  const bytes = await source.read(path, entry.headerOffset, entry.headerOffset + LOCAL_BYTES);
  if (bytes.byteLength < LOCAL_BYTES) throw new ZipError("the file became shorter while it was read");
  const header = new DataView(bytes.buffer, bytes.byteOffset, LOCAL_BYTES);
  if (header.getUint32(0, true) !== LOCAL) throw new ZipError(`${entry.name} has no local header`);
  const offset = entry.headerOffset + LOCAL_BYTES + header.getUint16(26, true) + header.getUint16(28, true);
  if (offset + entry.size > fileSize) throw new ZipError(`${entry.name} is cut off`);
  return offset;
}
