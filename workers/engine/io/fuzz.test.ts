/**
 * Thousands of damaged and malicious weight files, drawn with a seed: each is refused with a NagiError or gives what its
 * description says, and no more is read or made than twice the file. NAGI_FUZZ=N tries N times as many, with the seed of
 * the day.
 */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { op, statePickle, storedZip, type TorchTensor, torchFile } from "../../../e2e/torch-file";
import { NagiError } from "../../../src/shared/errors";
import { Random } from "../../../src/shared/stats/random";
import { writeSafetensors } from "./safetensors";
import { descriptionLimit, MapSource } from "./source";
import { PIECE_ELEMENTS, piecesOfTensor } from "./tensors";
import { openWeights } from "./weights";

const times = Number(process.env.NAGI_FUZZ ?? 1);
const seed = times === 1 ? 6 : Math.floor(Date.now() / 86_400_000);
const KNOWN = ["model.bad_pickle", "model.bad_safetensors", "model.tensor_type", "model.file_missing"];

const fixture = (name: string) => new Uint8Array(readFileSync(new URL(`./fixtures/${name}`, import.meta.url)));

/** Reads every tensor as the GPU gets it. @returns the refusal, or null */
async function readAll(bytes: Uint8Array, format: "pytorch" | "safetensors"): Promise<NagiError | null> {
  const source = new MapSource("fuzz", new Map([["weights", bytes]]));
  const read = source.read.bind(source);
  let largest = 0;
  source.read = async (...range) => {
    const part = await read(...range);
    largest = Math.max(largest, part.length);
    return part;
  };
  let made = 0;
  try {
    for (const tensor of (await openWeights(source, "weights", format)).values()) {
      let length = 0;
      for await (const piece of piecesOfTensor(tensor)) {
        expect(piece.length).toBeLessThanOrEqual(PIECE_ELEMENTS);
        length += piece.length;
      }
      expect(length).toBe(tensor.length);
      made += tensor.bytes;
    }
    return null;
  } catch (error) {
    if (!(error instanceof NagiError)) throw error;
    expect(KNOWN).toContain(error.code);
    expect(error.message.length).toBeLessThan(2000);
    return error;
  } finally {
    expect(largest).toBeLessThanOrEqual(bytes.length);
    expect(made).toBeLessThanOrEqual(2 * bytes.length);
  }
}

const HUGE = [0xff, 0xff, 0xff, 0x7f];

/** One damage to some bytes. */
function damage(original: Uint8Array, random: Random): Uint8Array {
  const bytes = original.slice();
  const at = random.below(bytes.length);
  switch (random.below(7)) {
    case 0: // flipped bits
      for (let i = 0; i <= random.below(4); i++) {
        const place = random.below(bytes.length);
        bytes[place] = (bytes[place] ?? 0) ^ (1 << random.below(8));
      }
      return bytes;
    case 1: // other bytes
      for (let i = 0; i <= random.below(4); i++) bytes[random.below(bytes.length)] = random.below(256);
      return bytes;
    case 2: // cut off
      return bytes.slice(0, at);
    case 3: // a huge length
      bytes.set(HUGE.slice(0, bytes.length - at), at);
      return bytes;
    case 4: // a part left out
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + 1 + random.below(64))]);
    case 5: // a part twice
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(Math.max(0, at - random.below(256)))]);
    default: // a part over another one
      bytes.copyWithin(at, random.below(bytes.length), bytes.length - random.below(64));
      return bytes;
  }
}

function tensors(random: Random): TorchTensor[] {
  const types = [
    ["FloatStorage", 4],
    ["HalfStorage", 2],
    ["ByteStorage", 1],
  ] as const;
  return Array.from({ length: 1 + random.below(4) }, (_, index) => {
    const [type, width] = types[random.below(3)] ?? types[0];
    const shape = Array.from({ length: random.below(4) }, () => 1 + random.below(5));
    const count = shape.reduce((product, size) => product * size, 1);
    return { name: `layers.${index}.weight`, type, shape, bytes: new Uint8Array(count * width).fill(index + 1) };
  });
}

/** Instructions in any order: most are nonsense, some are not. */
function randomPickle(random: Random): Uint8Array {
  const some = [
    () => op.mark,
    () => op.tuple,
    () => op.emptyTuple,
    () => op.reduce,
    () => op.setItems,
    () => op.persistent,
    () => op.int(random.below(2) ? random.below(10) : 0x7fff_ffff),
    () => op.string(["storage", "0", "cpu", "w"][random.below(4)] ?? ""),
    () => op.put(random.below(4)),
    () => op.get(random.below(4)),
    () => op.global("torch._utils", ["_rebuild_tensor_v2", "_rebuild_parameter"][random.below(2)] ?? ""),
    () => op.global("torch", ["FloatStorage", "HalfStorage", "load"][random.below(8)] ?? "ByteStorage"),
    () => op.global("collections", "OrderedDict"),
    () => [0x7d], // a dict
    () => [0x5d], // a list
    () => [0x65], // append to it
    () => [0x62], // set its attributes
    () => [random.below(256)],
  ];
  const steps = Array.from({ length: 1 + random.below(60) }, () => some[random.below(some.length)]?.() ?? []);
  return Uint8Array.from([...op.proto, ...steps.flat(), ...op.stop]);
}

/** How many of the files are refused, and how many can be read all the same. */
async function count(cases: number, draw: (random: Random) => Uint8Array, format: "pytorch" | "safetensors") {
  const random = Random.seeded(seed);
  const found = { refused: 0, read: 0 };
  for (let i = 0; i < cases * times; i++) {
    if ((await readAll(draw(random), format)) === null) found.read++;
    else found.refused++;
  }
  return found;
}

it("the files as they are can be read", async () => {
  for (const name of ["state.bin", "module.bin"]) expect(await readAll(fixture(name), "pytorch")).toBeNull();
  expect(await readAll(torchFile(tensors(Random.seeded(1))), "pytorch")).toBeNull();
  for (const name of ["dtypes.safetensors", "plain.safetensors"])
    expect(await readAll(fixture(name), "safetensors")).toBeNull();
});

it("damaged .bin files: the archive", async () => {
  const originals = [fixture("module.bin"), torchFile(tensors(Random.seeded(2)))];
  const found = await count(800, (random) => damage(originals[random.below(2)] ?? new Uint8Array(), random), "pytorch");
  expect(found.refused).toBeGreaterThan(300);
});

it("damaged .bin files: the pickle, with the right checksum", async () => {
  const draw = (random: Random) => {
    const some = tensors(random);
    return torchFile(some, damage(statePickle(some), random));
  };
  const found = await count(1000, draw, "pytorch");
  expect(found.refused).toBeGreaterThan(500);
  expect(found.read).toBeGreaterThan(10);
});

it("pickles of random instructions", async () => {
  const draw = (random: Random) => torchFile(tensors(random), randomPickle(random));
  expect((await count(800, draw, "pytorch")).refused).toBeGreaterThan(700);
});

it("damaged safetensors", async () => {
  const originals = [
    fixture("dtypes.safetensors"),
    writeSafetensors([{ name: "w", shape: [3, 4], data: new Float32Array(12) }], { format: "pt" }, "F16"),
  ];
  const found = await count(
    1500,
    (random) => damage(originals[random.below(2)] ?? new Uint8Array(), random),
    "safetensors",
  );
  expect(found.refused).toBeGreaterThan(700);
});

const repeat = (bytes: readonly number[], times: number) => Array.from({ length: times }, () => bytes).flat();
const weight: TorchTensor = { name: "w", type: "FloatStorage", shape: [2], bytes: new Uint8Array(8) };
const large: TorchTensor = { name: "w", type: "FloatStorage", shape: [10_000], bytes: new Uint8Array(40_000) };
const pickled = (...steps: readonly (readonly number[])[]) =>
  torchFile([weight], Uint8Array.from([...op.proto, ...steps.flat(), ...op.stop]));
/** A list that is put into itself: memo 0. */
const itself = [0x5d, ...op.put(0), ...op.mark, ...op.get(0), 0x65];

it.each([
  ["tuples in tuples, 200,000 deep", "no state dict", pickled(op.emptyTuple, repeat([0x85], 200_000))],
  [
    "a tuple doubled 200,000 times",
    "no state dict",
    pickled(op.emptyTuple, repeat([...op.put(0), ...op.get(0), 0x86], 200_000)),
  ],
  ["a list that holds itself", "no state dict", pickled(itself)],
  [
    "a parameter of itself",
    "without a tensor",
    pickled(
      [0x7d, ...op.string("w"), ...op.global("torch._utils", "_rebuild_parameter")],
      [0x5d, ...op.put(0), ...op.reduce, ...op.put(1), ...op.get(0), ...op.mark, ...op.get(1), 0x65, 0x30],
      [0x73],
    ),
  ],
  ["a million dicts", "no tensors", pickled(repeat([0x7d], 1_000_000))],
  ["a million marks", "not there", pickled(repeat(op.mark, 1_000_000))],
  ["a pickle of more than its share", "claims 2000003 bytes", pickled(repeat([0x4e], 2_000_000))],
  ["a text of 2 GiB", "cut off", pickled([0x58, ...HUGE])],
  ["a protocol of the future", "protocol 200", torchFile([weight], Uint8Array.of(0x80, 200, 0x2e))],
  [
    "a storage under a thousand names",
    "makes 40000000 bytes of tensors out of",
    torchFile(
      [large],
      statePickle(Array.from({ length: 1000 }, (_, index) => ({ ...large, name: `${index}`, storage: 0 }))),
    ),
  ],
])("%s", async (_, reason, bytes) => {
  const error = await readAll(bytes, "pytorch");
  expect(error).toMatchObject({ code: "model.bad_pickle", message: expect.stringContaining(reason) });
});

it("archives that lie: entries over each other, deflated ones, ones that go past the end", async () => {
  const bytes = storedZip([
    ["archive/data.pkl", statePickle([weight])],
    ["archive/data/0", new Uint8Array(8)],
    ["archive/data/1", new Uint8Array(8)],
  ]);
  const view = new DataView(bytes.buffer);
  const directory = view.getUint32(bytes.length - 6, true);
  const places: number[] = [];
  for (let at = directory; view.getUint32(at, true) === 0x0201_4b50; at += 46 + view.getUint16(at + 28, true))
    places.push(at);
  expect(places).toHaveLength(3);
  const changed = async (at: number, value: number, width: 2 | 4) => {
    const copy = bytes.slice();
    const target = new DataView(copy.buffer);
    if (width === 2) target.setUint16(at, value, true);
    else target.setUint32(at, value, true);
    const error = await readAll(copy, "pytorch");
    expect(error?.code).toBe("model.bad_pickle");
    return error?.message;
  };
  const [, second = 0, third = 0] = places;
  // The third entry lies where the second one does.
  expect(await changed(third + 42, view.getUint32(second + 42, true), 4)).toContain(
    "archive/data/1 overlaps archive/data/0",
  );
  expect(await changed(second + 10, 8, 2)).toContain("is compressed");
  expect(await changed(second + 42, bytes.length - 8, 4)).toContain("past the end of the file");
  // A bomb: little in the file, 2 GiB when it is inflated.
  expect(await changed(second + 24, 0x7fff_ffff, 4)).toContain("stored in 8 bytes but claims 2147483647");
  // A million entries of the same directory.
  expect(await changed(bytes.length - 12, 0xfffe, 2)).toContain("Central directory header not found");
});

function safetensors(header: string, data = 0): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

it.each([
  ["lists in lists, a million deep", safetensors("[".repeat(1_000_000))],
  ["objects in an entry", safetensors(`{"w":{"a":${'{"a":'.repeat(1000)}1${"}".repeat(1000)}}}`)],
  ["a header of more than its share", safetensors(`{${" ".repeat(2 * descriptionLimit(0))}}`)],
  ["a shape of 300,000 sizes", safetensors(`{"w":{"dtype":"F32","shape":[${"1,".repeat(300_000)}1]}}`, 4)],
  ["a size beyond all numbers", safetensors('{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', 4)],
  ["a tensor of 2^53 bytes", safetensors('{"w":{"dtype":"U8","shape":[9007199254740991],"data_offsets":[0,4]}}', 4)],
])("safetensors with %s", async (_, bytes) => {
  expect(await readAll(bytes, "safetensors")).toMatchObject({ code: "model.bad_safetensors" });
});
