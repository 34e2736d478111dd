import { readFile } from "node:fs/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { NagiError } from "../../src/shared/errors";
import { MemoryDirectory } from "../engine/io/memory-directory";
import { Folder } from "../engine/io/opfs";
import { ModelLibrary, neededFiles } from "./model-library";
import { Sources } from "./sources";

const GOLDEN = new URL("../engine/golden/lm-sequential/model/", import.meta.url);
const TOKENIZER = new URL("../../public/models/nagi-base/", import.meta.url);

let directory: MemoryDirectory;
let library: ModelLibrary;
let sources: Sources;

beforeEach(() => {
  directory = new MemoryDirectory("models");
  const models = new Folder(directory, "models");
  sources = new Sources(new Folder(new MemoryDirectory("datasets"), "datasets"), models, new URL("http://localhost/"));
  library = new ModelLibrary(models, sources, async () => directory.disk.free);
});

/** A whole model, its files changed: bytes, text, or null to leave one out. */
async function modelFiles(changes: Record<string, BlobPart | null> = {}): Promise<{ path: string; file: File }[]> {
  const parts: Record<string, BlobPart | null> = {
    "config.json": new Uint8Array(await readFile(new URL("config.json", GOLDEN))),
    "model.safetensors": new Uint8Array(await readFile(new URL("model.safetensors", GOLDEN))),
    "tokenizer.json": new Uint8Array(await readFile(new URL("tokenizer.json", TOKENIZER))),
    "tokenizer_config.json": new Uint8Array(await readFile(new URL("tokenizer_config.json", TOKENIZER))),
    ...changes,
  };
  return Object.entries(parts).flatMap(([path, part]) =>
    part === null ? [] : [{ path, file: new File([part], path.split("/").at(-1) ?? path) }],
  );
}

async function errorOf(promise: Promise<unknown>): Promise<NagiError> {
  const error = await promise.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (error instanceof NagiError) return error;
  throw new Error(`no NagiError: ${String(error)}`);
}

const stored = async () => (await new Folder(directory, "models").entries()).map((entry) => entry.name);

describe("ModelLibrary", () => {
  it("stores what the model needs, byte for byte, and nothing else", async () => {
    const files = await modelFiles({
      "README.md": "---\nlicense: mit\n---\n",
      "optimizer.pt": "x",
      "onnx/model.onnx": "x",
    });
    const entry = await library.import({ name: "私の Model!", files });
    expect(entry.id).toMatch(/^私の-model-[0-9a-f]{8}$/);
    expect(entry.reference).toBe(`imported:${entry.id}`);
    expect(entry.credit).toEqual({ name: "私の Model!", license: "mit", holder: null, url: null });
    expect(entry.files.toSorted()).toEqual([
      "README.md",
      "config.json",
      "model.safetensors",
      "nagi_credit.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const source = await sources.model(entry.reference);
    const original = await readFile(new URL("model.safetensors", GOLDEN));
    expect(Buffer.from(await source.read("model.safetensors")).equals(original)).toBe(true);
    expect((await library.list()).map((listed) => listed.name)).toEqual(["nagi-base", "私の Model!"]);

    const config = JSON.parse(await readFile(new URL("config.json", GOLDEN), "utf8"));
    expect(await library.inspect(entry.reference)).toMatchObject({
      name: "私の Model!",
      hidden_size: config.hidden_size,
      num_hidden_layers: config.num_hidden_layers,
      vocab_size: config.vocab_size,
      dtype: "F32",
    });
    await library.delete(entry.id);
    expect(await stored()).toEqual([]);
    expect((await errorOf(sources.model(entry.reference))).code).toBe("model.file_missing");
  });

  it.each([
    ["no weights", { "model.safetensors": null }, "model.file_missing"],
    ["no tokenizer", { "tokenizer.json": null, "tokenizer_config.json": null }, "model.bad_tokenizer"],
    ["a config that is not JSON", { "config.json": "{" }, "model.bad_config"],
    ["another architecture", { "config.json": '{"model_type":"llama"}' }, "model.unknown_architecture"],
    ["a broken header", { "model.safetensors": new Uint8Array(64).fill(255) }, "model.bad_safetensors"],
    ["a broken tokenizer", { "tokenizer.json": "[]" }, "model.bad_tokenizer"],
  ] as const)("refuses %s and leaves nothing behind", async (_what, changes, code) => {
    const error = await errorOf(library.import({ name: "x", files: await modelFiles(changes) }));
    expect(error.code).toBe(code);
    expect(await stored()).toEqual([]);
  });

  it("refuses weights of another shape than the config's", async () => {
    const config = JSON.parse(await readFile(new URL("config.json", GOLDEN), "utf8"));
    const other = JSON.stringify({ ...config, vocab_size: config.vocab_size + 1 });
    const error = await errorOf(library.import({ name: "x", files: await modelFiles({ "config.json": other }) }));
    expect(error.code).toBe("model.tensor_shape");
    expect(error.details.tensor).toBe("gpt_neox.embed_in.weight");
  });

  it("asks for room before it copies, and cleans up when the disk is full all the same", async () => {
    directory.disk.free = 1000;
    const error = await errorOf(library.import({ name: "x", files: await modelFiles() }));
    expect(error.toData()).toMatchObject({ code: "storage.quota", details: { available: 1000 } });
    const blind = new ModelLibrary(new Folder(directory, "models"), sources, async () => null);
    expect((await errorOf(blind.import({ name: "x", files: await modelFiles() }))).code).toBe("storage.quota");
    expect(await stored()).toEqual([]);
  });

  it("removes the rest of an import that a closed tab cut short", async () => {
    const cut = await directory.getDirectoryHandle("cut-00000000", { create: true });
    cut.file("model.safetensors", true);
    expect((await library.list()).length).toBe(1);
    const entry = await library.import({ name: "x", files: await modelFiles() });
    expect(await stored()).toEqual([entry.id]);
  });
});

describe("neededFiles", () => {
  const paths = (...names: string[]) =>
    neededFiles(names.map((path) => ({ path, file: new File([], path) }))).map(({ path }) => path);

  it("finds the model one level down", () => {
    expect(paths("readme.txt", "model/config.json", "model/model.safetensors", "model/sub/config.json")).toEqual([
      "config.json",
      "model.safetensors",
    ]);
  });

  it("prefers safetensors and takes every shard", () => {
    expect(
      paths("config.json", "pytorch_model.bin", "model-00001-of-00002.safetensors", "model.safetensors.index.json"),
    ).toEqual(["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"]);
    expect(
      paths("config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json", "tf_model.h5"),
    ).toEqual(["config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"]);
  });

  it("says what it found where there is no config.json", () => {
    expect(() => paths("a.txt", "b.txt")).toThrow(/a\.txt, b\.txt/);
  });
});
