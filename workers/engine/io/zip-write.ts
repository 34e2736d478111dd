/** Writes a zip archive without compression: weights do not compress, and it keeps a download in step with its files. */
import { crc32 } from "./crc32";

/** 1980-01-01 00:00, the earliest date a zip can hold: the same files give the same archive. */
const DATE = 0x0021;
/** Made on Unix by version 2.0; an ordinary file that its owner may write and all may read. */
const MADE_BY = 0x0314;
const MODE = (0o644 << 16) >>> 0;
/** File names are UTF-8. */
const FLAGS = 0x0800;

/**
 * Parts of an archive with `files` in their order, for `new Blob(parts)`: the files' bytes are not copied.
 * Throws RangeError beyond 4 GiB, which this writer does not do.
 */
export function zipParts(files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const [path, bytes] of files) {
    const name = new TextEncoder().encode(path);
    const common = new DataView(new ArrayBuffer(26));
    common.setUint16(0, 20, true);
    common.setUint16(2, FLAGS, true);
    common.setUint16(8, DATE, true);
    common.setUint32(10, crc32(bytes), true);
    common.setUint32(14, bytes.byteLength, true);
    common.setUint32(18, bytes.byteLength, true);
    common.setUint16(22, name.byteLength, true);
    const fields = new Uint8Array(common.buffer);

    const local = new Uint8Array(30 + name.byteLength);
    new DataView(local.buffer).setUint32(0, 0x0403_4b50, true);
    local.set(fields, 4);
    local.set(name, 30);

    const central = new Uint8Array(46 + name.byteLength);
    const centralView = new DataView(central.buffer);
    centralView.setUint32(0, 0x0201_4b50, true);
    centralView.setUint16(4, MADE_BY, true);
    central.set(fields, 6);
    centralView.setUint32(38, MODE, true);
    centralView.setUint32(42, offset, true);
    central.set(name, 46);

    parts.push(local, bytes);
    directory.push(central);
    offset += local.byteLength + bytes.byteLength;
    if (offset >= 0xffff_ffff) throw new RangeError("a zip archive of more than 4 GiB");
  }
  const directoryBytes = directory.reduce((sum, entry) => sum + entry.byteLength, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x0605_4b50, true);
  end.setUint16(8, files.size, true);
  end.setUint16(10, files.size, true);
  end.setUint32(12, directoryBytes, true);
  end.setUint32(16, offset, true);
  return [...parts, ...directory, new Uint8Array(end.buffer)];
}
