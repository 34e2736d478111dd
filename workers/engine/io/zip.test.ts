import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { crc32 } from "./crc32";
import { MapSource } from "./source";
import { dataOffset, openZip, ZipError } from "./zip";
import { zipParts } from "./zip-write";

const python = new Uint8Array(readFileSync(new URL("./fixtures/stored.zip", import.meta.url)));
const sourceOf = (bytes: Uint8Array) => new MapSource("test", new Map([["a.zip", bytes]]));
const files = new Map([
  ["模型/config.json", new TextEncoder().encode("{}")],
  ["空", new Uint8Array(0)],
  ["重み.bin", Uint8Array.from({ length: 768 }, (_, i) => i % 256)],
]);

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

async function contents(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  const source = sourceOf(bytes);
  const found = new Map<string, Uint8Array>();
  for (const [name, entry] of await openZip(source, "a.zip")) {
    const start = await dataOffset(source, "a.zip", entry);
    const data = await source.read("a.zip", start, start + entry.size);
    expect(crc32(data)).toBe(entry.crc32);
    found.set(name, data);
  }
  return found;
}

/** The archive of one file with all its sizes and places in zip64 fields, as archives beyond 4 GiB have them. */
function zip64(name: string, data: Uint8Array): Uint8Array {
  const local = new Uint8Array(30 + name.length);
  const localView = new DataView(local.buffer);
  localView.setUint32(0, 0x0403_4b50, true);
  localView.setUint16(26, name.length, true);
  local.set(new TextEncoder().encode(name), 30);
  const central = new Uint8Array(46 + name.length + 28);
  const view = new DataView(central.buffer);
  view.setUint32(0, 0x0201_4b50, true);
  view.setUint32(16, crc32(data), true);
  view.setUint32(20, 0xffff_ffff, true);
  view.setUint32(24, 0xffff_ffff, true);
  view.setUint16(28, name.length, true);
  view.setUint16(30, 28, true);
  view.setUint32(42, 0xffff_ffff, true);
  central.set(new TextEncoder().encode(name), 46);
  view.setUint16(46 + name.length, 1, true);
  view.setUint16(48 + name.length, 24, true);
  view.setBigUint64(50 + name.length, BigInt(data.length), true);
  view.setBigUint64(58 + name.length, BigInt(data.length), true);
  const directoryAt = local.length + data.length;
  const end64 = new DataView(new ArrayBuffer(56));
  end64.setUint32(0, 0x0606_4b50, true);
  end64.setBigUint64(32, 1n, true);
  end64.setBigUint64(40, BigInt(central.length), true);
  end64.setBigUint64(48, BigInt(directoryAt), true);
  const locator = new DataView(new ArrayBuffer(20));
  locator.setUint32(0, 0x0706_4b50, true);
  locator.setBigUint64(8, BigInt(directoryAt + central.length), true);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x0605_4b50, true);
  end.setUint16(10, 0xffff, true);
  end.setUint32(12, 0xffff_ffff, true);
  end.setUint32(16, 0xffff_ffff, true);
  return join([local, data, central, ...[end64, locator, end].map((part) => new Uint8Array(part.buffer))]);
}

describe("reading", () => {
  it("an archive by Python's zipfile", async () => {
    expect(await contents(python)).toEqual(files);
  });

  it("zip64 sizes and places", async () => {
    const data = Uint8Array.of(1, 2, 3);
    const bytes = zip64("archive/data.pkl", data);
    expect(await contents(bytes)).toEqual(new Map([["archive/data.pkl", data]]));
    for (let length = 0; length < bytes.length; length++) {
      await expect(openZip(sourceOf(bytes.subarray(0, length)), "a.zip")).rejects.toThrow(ZipError);
    }
  });

  it("checks sizes before it reads: a claim of 2^62 bytes", async () => {
    const bytes = zip64("a", Uint8Array.of(1));
    const claim = bytes.slice();
    const field = bytes.length - 98 - 24;
    new DataView(claim.buffer).setBigUint64(field, 2n ** 62n, true);
    await expect(openZip(sourceOf(claim), "a.zip")).rejects.toThrow(/exceeds Number.MAX_SAFE_INTEGER/);
    new DataView(claim.buffer).setBigUint64(field, 2n ** 40n, true);
    new DataView(claim.buffer).setBigUint64(field + 8, 2n ** 40n, true);
    await expect(openZip(sourceOf(claim), "a.zip")).rejects.toThrow(/past the end/);
  });

  it("refuses compressed and encrypted entries and ones listed twice", async () => {
    const at = Buffer.from(python).indexOf("PK\x01\x02", 0, "latin1");
    const change = (offset: number, value: number) => {
      const bytes = python.slice();
      bytes[at + offset] = value;
      return openZip(sourceOf(bytes), "a.zip");
    };
    await expect(change(10, 8)).rejects.toThrow(/compressed/);
    await expect(change(8, 1)).rejects.toThrow(/encrypted/);
    const twice = join(
      zipParts(
        new Map([
          ["a", Uint8Array.of(1)],
          ["b", Uint8Array.of(1)],
        ]),
      ),
    );
    twice[twice.lastIndexOf(0x62)] = 0x61;
    await expect(openZip(sourceOf(twice), "a.zip")).rejects.toThrow(/twice/);
  });

  it("finds the end behind a comment", async () => {
    const bytes = join([python, new TextEncoder().encode("a comment")]);
    new DataView(bytes.buffer).setUint16(python.length - 2, 9, true);
    expect((await openZip(sourceOf(bytes), "a.zip")).size).toBe(3);
  });
});

describe("writing", () => {
  it("gives the bytes that Python's zipfile gives", () => {
    expect(Buffer.from(join(zipParts(files))).equals(python)).toBe(true);
  });

  it("does not copy what it is given", () => {
    const data = Uint8Array.of(1, 2);
    expect(zipParts(new Map([["a", data]]))).toContain(data);
  });

  it("an archive of nothing", async () => {
    expect((await contents(join(zipParts(new Map())))).size).toBe(0);
  });
});
