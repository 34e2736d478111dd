import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import { Random } from "../../../src/shared/stats/random";
import expected from "./fixtures/dtypes.json";
import { openSafetensors, parseHeader, readTensor, type TensorToWrite, writeSafetensors } from "./safetensors";
import { MapSource } from "./source";

const fixture = new Uint8Array(readFileSync(new URL("./fixtures/dtypes.safetensors", import.meta.url)));
const sourceOf = (bytes: Uint8Array) => new MapSource("test", new Map([["model.safetensors", bytes]]));

/** A file from a header's text and a number of data bytes. */
function file(header: string, dataBytes: number, claimed?: bigint): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.byteLength), true);
  bytes.set(json, 8);
  return bytes;
}

async function refusal(bytes: Uint8Array): Promise<NagiError> {
  try {
    await openSafetensors(sourceOf(bytes), "model.safetensors");
  } catch (error) {
    if (error instanceof NagiError) return error;
    throw error;
  }
  return expect.fail("the file was accepted");
}

const entry = (offsets: string, shape = "[2]", dtype = "F32") =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;

describe("a file by Python's safetensors", () => {
  it.each(Object.entries(expected))("tensor %s", async (name, { shape, values }) => {
    const source = sourceOf(fixture);
    const { tensors } = await openSafetensors(source, "model.safetensors");
    const tensor = tensors.get(name) ?? expect.fail(`${name} is missing`);
    expect(tensor.shape).toEqual(shape);
    const found = await readTensor(source, "model.safetensors", tensor);
    expect(Array.from(found)).toEqual(Array.from(Float32Array.from(values)));
  });

  it("nothing else, and its metadata", () => {
    const header = parseHeader(fixture, fixture.byteLength, "f");
    expect([...header.tensors.keys()].sort()).toEqual(Object.keys(expected).sort());
    expect(header.metadata).toEqual({ format: "pt", 注: "凪" });
  });

  it("cut off anywhere, is refused and never read", async () => {
    for (let length = 0; length < fixture.byteLength; length++) {
      const error = await refusal(fixture.subarray(0, length));
      expect(error.code).toBe("model.bad_safetensors");
    }
  });
});

describe("headers that lie", () => {
  it.each([
    ["an offset past the end", `{"w":${entry("[0,16]", "[4]")}}`, 8, "w", /ends at byte 16 of the data.*only 8/],
    [
      "overlapping tensors",
      `{"a":${entry("[0,8]")},"b":${entry("[4,12]")}}`,
      12,
      "b",
      /starts at byte 4 and overlaps "a"/,
    ],
    ["the same bytes twice", `{"a":${entry("[0,8]")},"b":${entry("[0,8]")}}`, 8, "b", /overlaps "a"/],
    [
      "a hole",
      `{"a":${entry("[0,8]")},"b":${entry("[12,20]")}}`,
      20,
      "b",
      /bytes 8 to 12 before it belong to no tensor/,
    ],
    ["a hole at the start", `{"a":${entry("[4,12]")}}`, 12, "a", /bytes 0 to 4 before it/],
    ["bytes after the last tensor", `{"a":${entry("[0,8]")}}`, 11, "(header)", /3 bytes at the end/],
    [
      "a wrong size for dtype and shape",
      `{"w":${entry("[0,8]", "[2]", "F16")}}`,
      8,
      "w",
      /F16 \[2\] takes 4 bytes.*are 8/,
    ],
    ["an end before its start", `{"w":${entry("[8,0]")}}`, 8, "w", /before its start/],
    ["a negative offset", `{"w":${entry("[-8,0]")}}`, 8, "w", /no valid data_offsets/],
    ["a fractional offset", `{"w":${entry("[0.5,8.5]")}}`, 8, "w", /no valid data_offsets/],
    ["a shape whose product overflows", `{"w":${entry("[0,8]", "[4294967296,4294967296]")}}`, 8, "w", /takes/],
    ["a negative size", `{"w":${entry("[0,8]", "[-2]")}}`, 8, "w", /no valid shape/],
    ["no dtype", '{"w":{"shape":[2],"data_offsets":[0,8]}}', 8, "w", /no dtype/],
    ["an entry that is no object", '{"w":[0,8]}', 8, "w", /not an object/],
    ["a tensor listed twice", `{"w":${entry("[0,8]")},"w":${entry("[0,8]")}}`, 8, "w", /twice/],
    ["a tensor listed twice, once escaped", `{"w":${entry("[0,8]")},"\\u0077":${entry("[0,8]")}}`, 8, "w", /twice/],
    [
      "a key of an entry twice",
      '{"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
      8,
      "dtype",
      /twice/,
    ],
    ["metadata that is no text", `{"__metadata__":{"a":1},"w":${entry("[0,8]")}}`, 8, "(header)", /__metadata__\.a/],
    ["metadata that is no object", `{"__metadata__":"x","w":${entry("[0,8]")}}`, 8, "(header)", /__metadata__/],
    ["a header that is not JSON", "{not json", 8, "(header)", /not JSON/],
    ["a header that is a list", "[1]", 8, "(header)", /not a JSON object/],
    ["a header with a byte order mark", `\ufeff{"w":${entry("[0,8]")}}`, 8, "(header)", /not JSON/],
  ] as const)("%s", async (_what, header, dataBytes, tensor, reason) => {
    const error = await refusal(file(header, dataBytes));
    expect(error.code).toBe("model.bad_safetensors");
    expect(error.details).toMatchObject({ file: "model.safetensors", tensor });
    expect(error.message).toMatch(reason);
    expect(error.message).toContain("Download or export the file again.");
  });

  it.each([
    ["more than the file", 1000n],
    ["2^63", 2n ** 63n],
    ["2^64 - 1", 2n ** 64n - 1n],
  ])("a header length of %s is refused before anything is read", async (_what, claimed) => {
    let largestRead = 0;
    const bytes = file("{}", 0, claimed);
    const source = sourceOf(bytes);
    const watched = {
      name: "watched",
      list: () => source.list(),
      size: (path: string) => source.size(path),
      read: (path: string, start = 0, end = 0) => {
        largestRead = Math.max(largestRead, end - start);
        return source.read(path, start, end);
      },
    };
    await expect(openSafetensors(watched, "model.safetensors")).rejects.toMatchObject({
      code: "model.bad_safetensors",
      message: expect.stringContaining(String(claimed)),
    });
    expect(largestRead).toBe(8);
  });

  it("a header of more than 100 MB is refused even where the file is that large", () => {
    const start = file("", 0, 200_000_000n);
    expect(() => parseHeader(start, 300_000_000, "f")).toThrow(/more than the allowed 100000000/);
  });

  it("invalid UTF-8", async () => {
    const bytes = file('{"??":1}', 0);
    bytes[10] = 0xff;
    expect((await refusal(bytes)).message).toContain("not JSON");
  });

  it("a type that Nagi cannot read is named", async () => {
    const error = await refusal(file(`{"w":${entry("[0,2]", "[2]", "F8_E4M3")}}`, 2));
    expect(error.code).toBe("model.tensor_type");
    expect(error.details).toEqual({ file: "model.safetensors", tensor: "w", dtype: "F8_E4M3" });
  });

  it("a name that is special to JavaScript is only a name", async () => {
    const bytes = file(`{"__proto__":${entry("[0,8]")},"constructor":${entry("[8,16]")}}`, 16);
    const { tensors } = await openSafetensors(sourceOf(bytes), "model.safetensors");
    expect([...tensors.keys()]).toEqual(["__proto__", "constructor"]);
  });

  it("random damage to a header is refused with a reason or still describes the whole file", () => {
    const random = Random.seeded(5);
    const length = 8 + Number(new DataView(fixture.buffer).getBigUint64(0, true));
    let refused = 0;
    for (let round = 0; round < 3000; round++) {
      const bytes = fixture.slice();
      for (let i = 0; i <= random.below(3); i++) bytes[random.below(length)] = random.below(256);
      try {
        const { tensors } = parseHeader(bytes, bytes.byteLength, "f");
        const covered = [...tensors.values()].reduce((sum, { start, end }) => sum + end - start, 0);
        expect(covered).toBe(bytes.byteLength - Math.min(...[...tensors.values()].map(({ start }) => start)));
      } catch (error) {
        if (!(error instanceof NagiError)) throw error;
        expect(["model.bad_safetensors", "model.tensor_type"]).toContain(error.code);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1500);
  });
});

describe("writing", () => {
  const tensors: TensorToWrite[] = [
    { name: "b.weight", shape: [2, 3], data: Float32Array.of(1, -2, 3.25, 0, 1e-7, 6e4) },
    { name: "2", shape: [], data: Float32Array.of(7) },
    { name: "空", shape: [0, 5], data: new Float32Array(0) },
  ];

  it("gives the bytes that Python's writer gives", async () => {
    const python = new Uint8Array(readFileSync(new URL("./fixtures/plain.safetensors", import.meta.url)));
    const source = sourceOf(python);
    const { tensors: stored, metadata } = await openSafetensors(source, "model.safetensors");
    const copy: TensorToWrite[] = [];
    for (const tensor of stored.values()) {
      copy.push({ ...tensor, data: await readTensor(source, "model.safetensors", tensor) });
    }
    expect(copy.length).toBe(2);
    expect(Buffer.from(writeSafetensors(copy, metadata)).equals(python)).toBe(true);
  });

  it.each(["F32", "F16", "BF16"] as const)("reads back what it wrote in %s, in the order given", async (dtype) => {
    const bytes = writeSafetensors(tensors, { note: "凪" }, dtype);
    const source = sourceOf(bytes);
    const header = await openSafetensors(source, "model.safetensors");
    expect([...header.tensors.keys()].sort()).toEqual(["2", "b.weight", "空"]);
    expect(header.metadata).toEqual({ note: "凪" });
    for (const { name, shape, data } of tensors) {
      const tensor = header.tensors.get(name) ?? expect.fail();
      expect([tensor.shape, tensor.dtype]).toEqual([shape, dtype]);
      const found = await readTensor(source, "model.safetensors", tensor);
      const precision = { F32: 0, F16: 2 ** -11, BF16: 2 ** -8 }[dtype];
      for (const [i, value] of data.entries()) {
        if (!(Math.abs((found[i] ?? Number.NaN) - value) <= precision * Math.abs(value) + 6e-8))
          expect.fail(`${name}[${i}]`);
      }
    }
  });

  it("refuses a shape that is not the data's, and a name twice", () => {
    expect(() => writeSafetensors([{ name: "a", shape: [3], data: new Float32Array(2) }])).toThrow(/shape \[3\]/);
    const one = { name: "a", shape: [1], data: new Float32Array(1) };
    expect(() => writeSafetensors([one, one])).toThrow(/same name/);
  });
});
