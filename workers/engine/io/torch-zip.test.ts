import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import { Random } from "../../../src/shared/stats/random";
import expected from "./fixtures/state.json";
import { PickleError, readPickle } from "./pickle";
import { MapSource } from "./source";
import { openTorchZip, readTorchTensor } from "./torch-zip";

const read = (name: string) => new Uint8Array(readFileSync(new URL(`./fixtures/${name}`, import.meta.url)));
const sourceOf = (bytes: Uint8Array) => new MapSource("test", new Map([["pytorch_model.bin", bytes]]));

async function refusal(bytes: Uint8Array): Promise<NagiError> {
  try {
    await openTorchZip(sourceOf(bytes), "pytorch_model.bin");
  } catch (error) {
    if (error instanceof NagiError) return error;
    throw error;
  }
  return expect.fail("the file was accepted");
}

/** Replaces the first occurrence of one byte sequence by another of the same length. */
function patched(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const copy = bytes.slice();
  const at = Buffer.from(copy).indexOf(from, 0, "latin1");
  expect(at).toBeGreaterThan(0);
  copy.set(Buffer.from(to, "latin1"), at);
  return copy;
}

describe("a state dict by torch.save", () => {
  it.each(Object.entries(expected))("tensor %s", async (name, { shape, values }) => {
    const source = sourceOf(read("state.bin"));
    const tensors = await openTorchZip(source, "pytorch_model.bin");
    const tensor = tensors.get(name) ?? expect.fail(`${name} is missing`);
    expect(tensor.shape).toEqual(shape);
    const found = await readTorchTensor(source, "pytorch_model.bin", tensor);
    expect(Array.from(found)).toEqual(Array.from(Float32Array.from(values)));
  });

  it("nothing else; views share their storage", async () => {
    const tensors = await openTorchZip(sourceOf(read("state.bin")), "pytorch_model.bin");
    expect([...tensors.keys()]).toEqual(Object.keys(expected));
    const starts = ["f32", "transposed", "shared_rows", "strided", "one"].map((name) => tensors.get(name)?.start);
    expect(new Set(starts).size).toBe(1);
  });

  it("of a module, whose OrderedDict carries _metadata", async () => {
    const source = sourceOf(read("module.bin"));
    const tensors = await openTorchZip(source, "pytorch_model.bin");
    expect([...tensors.keys()]).toEqual(["weight", "bias"]);
    const bias = tensors.get("bias") ?? expect.fail();
    expect(await readTorchTensor(source, "pytorch_model.bin", bias)).toEqual(Float32Array.of(1.5, 1.5, 1.5));
  });
});

describe("what is refused", () => {
  it("a pickle that runs a command, by the name of the function, without running it", async () => {
    const error = await refusal(read("malicious.bin"));
    expect(error.code).toBe("model.bad_pickle");
    expect(error.details).toMatchObject({ file: "pytorch_model.bin", callable: "posix.system" });
    expect(error.message).toContain("posix.system");
    expect(error.message).toContain("model.safetensors");
    expect(existsSync("/tmp/nagi-was-attacked")).toBe(false);
  });

  it("the same attack through a newer pickle protocol", () => {
    expect(() => readPickle(read("bare.pkl"))).toThrow(expect.objectContaining({ callable: "posix.system" }));
  });

  it.each([
    ["builtins", "eval"],
    ["torch._utils", "_rebuild_tensor_v2.__globals__"],
    ["torch", "load"],
    ["torch", "FloatStorage.__init__"],
    ["collections", "OrderedDict.fromkeys"],
    ["", "collections.OrderedDict"],
  ])("the name %s.%s", (module, name) => {
    const bytes = new TextEncoder().encode(`\u0080\u0002c${module}\n${name}\n.`);
    const pickle = Uint8Array.from([0x80, 2, ...bytes.subarray(3)]);
    expect(() => readPickle(pickle)).toThrow(PickleError);
  });

  it("a call of a type", () => {
    const text = "ctorch\nFloatStorage\n)R.";
    expect(() => readPickle(Uint8Array.from([0x80, 2, ...new TextEncoder().encode(text)]))).toThrow(
      expect.objectContaining({ callable: "torch.FloatStorage" }),
    );
  });

  it("PyTorch's format from before version 1.6, with the way out", async () => {
    const error = await refusal(read("legacy.bin"));
    expect(error.code).toBe("model.bad_pickle");
    expect(error.message).toMatch(/before version 1\.6.*save_pretrained/);
  });

  it("something else", async () => {
    expect((await refusal(new TextEncoder().encode("hello"))).message).toContain("no zip archive");
    expect((await refusal(new Uint8Array(0))).code).toBe("model.bad_pickle");
    expect((await refusal(Uint8Array.from([0x50, 0x4b, 3, 4]))).message).toContain("too few");
  });

  it("a storage that is missing or has another size", async () => {
    const bytes = read("module.bin");
    expect((await refusal(patched(bytes, "FloatStorage", "HalfStorage\n"))).message).toContain("checksum");
    const directory = Buffer.from(bytes).lastIndexOf("module/data/0", undefined, "latin1");
    const renamed = bytes.slice();
    renamed[directory + "module/data/".length] = 0x39;
    expect((await refusal(renamed)).message).toContain("data/0, the storage of weight, is missing");
  });

  it("a damaged archive, wherever the damage is, ends in an error or in the right tensors", async () => {
    const original = read("module.bin");
    const random = Random.seeded(8);
    let refused = 0;
    for (let round = 0; round < 400; round++) {
      const bytes = original.slice(0, round % 2 ? original.length : random.below(original.length));
      for (let i = 0; i < 3 && round % 2; i++) bytes[random.below(bytes.length)] = random.below(256);
      try {
        const tensors = await openTorchZip(sourceOf(bytes), "pytorch_model.bin");
        for (const tensor of tensors.values()) {
          const found = await readTorchTensor(sourceOf(bytes), "pytorch_model.bin", tensor);
          expect(found.length).toBe(tensor.shape.reduce((product, size) => product * size, 1));
        }
      } catch (error) {
        if (!(error instanceof NagiError)) throw error;
        expect(error.code).toBe("model.bad_pickle");
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(200);
  });
});

describe("the pickle machine", () => {
  const run = (...bytes: number[]) => readPickle(Uint8Array.from([0x80, 2, ...bytes, 0x2e]));

  it("reads numbers of every width", () => {
    expect(run(0x4b, 200)).toBe(200);
    expect(run(0x4d, 0, 1)).toBe(256);
    expect(run(0x4a, 255, 255, 255, 255)).toBe(-1);
    expect(run(0x8a, 2, 0, 255)).toBe(-256);
    expect(run(0x8a, 0)).toBe(0);
    expect(run(0x47, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0)).toBe(1.5);
  });

  it("refuses a stack that is too short, an unknown instruction and a cut-off end", () => {
    expect(() => run(0x85)).toThrow(PickleError);
    expect(() => run(0x75)).toThrow(PickleError);
    expect(() => run(0x52)).toThrow(PickleError);
    expect(() => run(0x68, 3)).toThrow("never stored");
    expect(() => run(0x81)).toThrow("instruction 0x81");
    expect(() => run(0x58, 255, 255, 255, 255)).toThrow("cut off");
    expect(() => readPickle(Uint8Array.of(0x80))).toThrow(PickleError);
    expect(() => readPickle(Uint8Array.of(0x80, 9, 0x2e))).toThrow("protocol 9");
  });
});
