import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { NagiError } from "../../../src/shared/errors";
import { FetchSource } from "./fetch-source";
import { describeModel, type ModelToSave, openCheckpoint, saveModel } from "./hf-model";
import { engineNames, isBuffer } from "./names";
import { type TensorToWrite, writeSafetensors } from "./safetensors";
import { BlobSource, type FileSource, MapSource } from "./source";
import { wholeTensor, wholeTensors } from "./tensors";

const tensor = (name: string, ...shape: number[]): TensorToWrite => {
  const data = Float32Array.from(
    { length: shape.reduce((product, size) => product * size, 1) },
    (_, i) => i + name.length,
  );
  return { name, shape, data };
};
const tensors = [
  tensor("gpt_neox.embed_in.weight", 6, 4),
  tensor("gpt_neox.layers.0.attention.dense.weight", 4, 4),
  tensor("gpt_neox.final_layer_norm.weight", 4),
  tensor("score.weight", 1, 4),
];
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const folder = (files: Record<string, Uint8Array>, config: Uint8Array | null = json({ model_type: "gpt_neox" })) =>
  new MapSource("folder", new Map(Object.entries(config ? { "config.json": config, ...files } : files)));
const weights = (list: readonly TensorToWrite[]) => folder({ "model.safetensors": writeSafetensors(list) });
const model: ModelToSave = {
  configJson: { model_type: "gpt_neox", torch_dtype: "float16", _name_or_path: "/home/x", hidden_size: 4 },
  architecture: "GPTNeoXForSequenceClassification",
  labels: ["reward"],
  padTokenId: 1,
  tensors,
  tokenizerFiles: new Map([["tokenizer.json", json({})]]),
};

/** With every value in memory. */
async function load(...args: Parameters<typeof openCheckpoint>) {
  const opened = await openCheckpoint(...args);
  return { ...opened, tensors: await wholeTensors(opened.tensors) };
}

const refusal = async (source: FileSource, options = {}): Promise<NagiError> =>
  openCheckpoint(source, options).then(
    () => expect.fail("the model was accepted"),
    (error) => error,
  );

describe("saving", () => {
  it("writes the config that a reward model needs, and leaves the base's own matters out", async () => {
    const files = await saveModel(model);
    expect([...files.keys()]).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    expect(JSON.parse(new TextDecoder().decode(files.get("config.json")))).toEqual({
      architectures: ["GPTNeoXForSequenceClassification"],
      dtype: "float32",
      hidden_size: 4,
      id2label: { "0": "reward" },
      label2id: { reward: 0 },
      model_type: "gpt_neox",
      num_labels: 1,
      pad_token_id: 1,
    });
  });

  it("splits large weights over files with an index, and reads them back", async () => {
    const files = await saveModel({ ...model, maxShardBytes: 100 });
    const shards = [...files.keys()].filter((name) => name.endsWith(".safetensors"));
    expect(shards).toEqual(["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]);
    const index = JSON.parse(new TextDecoder().decode(files.get("model.safetensors.index.json")));
    expect(index.metadata.total_size).toBe((24 + 16 + 4 + 4) * 4);
    const loaded = await load(new MapSource("saved", files));
    for (const { name, data } of tensors) expect(loaded.tensors.get(name)).toEqual(data);
    expect(loaded.files).toEqual(shards);
  });

  it("halves the size where asked", async () => {
    const files = await saveModel({ ...model, dtype: "F16" });
    const loaded = await load(new MapSource("saved", files));
    expect(loaded.dtype).toBe("F16");
    expect(loaded.tensors.get("score.weight")).toEqual(tensors[3]?.data);
  });
});

describe("loading", () => {
  it("takes what the architecture expects, reports the rest, and reads nothing before it is asked", async () => {
    const expected = () => [
      { name: "gpt_neox.embed_in.weight", shape: [6, 4] },
      { name: "gpt_neox.final_layer_norm.weight", shape: [4] },
      { name: "value.weight", shape: [1, 4], optional: true },
    ];
    const source = weights(tensors);
    const ranges: number[] = [];
    const read = source.read.bind(source);
    source.read = (path, start = 0, end = Number.POSITIVE_INFINITY) => {
      if (path === "model.safetensors") ranges.push(start);
      return read(path, start, end);
    };
    const loaded = await openCheckpoint(source, { expected });
    expect([...loaded.tensors.keys()]).toEqual(["gpt_neox.embed_in.weight", "gpt_neox.final_layer_norm.weight"]);
    expect(loaded.unused).toEqual(["gpt_neox.layers.0.attention.dense.weight", "score.weight"]);
    expect(ranges).toEqual([0, 0]);
    const embedding = loaded.tensors.get("gpt_neox.embed_in.weight");
    expect(embedding && (await wholeTensor(embedding))).toEqual(tensors[0]?.data);
    expect(ranges).toHaveLength(3);
  });

  it("leaves out buffers of old checkpoints, renames a bare model's tensors and lm_head", () => {
    expect(["bias", "masked_bias", "rotary_emb.inv_freq"].every((name) => isBuffer(`layers.0.attention.${name}`))).toBe(
      true,
    );
    expect(isBuffer("gpt_neox.layers.0.attention.dense.bias")).toBe(false);
    const bare = ["embed_in.weight", "layers.0.attention.bias", "layers.0.mlp.dense_4h_to_h.bias", "lm_head.weight"];
    expect([...engineNames(bare)]).toEqual([
      ["embed_in.weight", "gpt_neox.embed_in.weight"],
      ["layers.0.mlp.dense_4h_to_h.bias", "gpt_neox.layers.0.mlp.dense_4h_to_h.bias"],
      ["lm_head.weight", "embed_out.weight"],
    ]);
    expect([...engineNames(["embed_out.weight", "lm_head.weight"]).values()]).toEqual([
      "embed_out.weight",
      "lm_head.weight",
    ]);
  });

  it("reads PyTorch's files, one or several with an index", async () => {
    const read = (name: string) => new Uint8Array(readFileSync(new URL(`./fixtures/${name}`, import.meta.url)));
    const one = await load(folder({ "pytorch_model.bin": read("module.bin") }));
    expect(one.tensors.get("bias")).toEqual(Float32Array.of(1.5, 1.5, 1.5));
    const index = { weight_map: { weight: "part-1.bin", f16: "part-2.bin" } };
    const files = {
      "pytorch_model.bin.index.json": json(index),
      "part-1.bin": read("module.bin"),
      "part-2.bin": read("state.bin"),
    };
    const several = await load(folder(files));
    expect([...several.tensors.keys()]).toEqual(["weight", "f16"]);
    expect(several.stored.get("f16")).toMatchObject({ file: "part-2.bin", dtype: "F16", shape: [4, 6] });
  });

  it("prefers safetensors, as transformers does", async () => {
    const files = { "pytorch_model.bin": json("not read"), "model.safetensors": writeSafetensors(tensors) };
    expect((await load(folder(files))).files).toEqual(["model.safetensors"]);
  });

  it("keeps a tensor's name on disk", async () => {
    const { stored } = await describeModel(weights([tensor("embed_in.weight", 2, 2), tensor("lm_head.weight", 2, 2)]));
    expect(stored.get("embed_out.weight")?.name).toBe("lm_head.weight");
  });
});

describe("what is refused, with the file, the tensor and the way out", () => {
  const expected = () => tensors.map(({ name, shape }) => ({ name, shape }));

  it("a tensor that is missing", async () => {
    const error = await refusal(weights(tensors.slice(0, 3)), { expected });
    expect(error.code).toBe("model.tensor_missing");
    expect(error.details).toEqual({ file: "model.safetensors", tensor: "score.weight" });
    expect(error.message).toMatch(/Take config\.json and weights of the same model/);
  });

  it("a tensor of another shape", async () => {
    const error = await refusal(weights([...tensors.slice(0, 3), tensor("score.weight", 4, 1)]), { expected });
    expect(error.code).toBe("model.tensor_shape");
    expect(error.details).toEqual({
      file: "model.safetensors",
      tensor: "score.weight",
      found: "[4, 1]",
      expected: "[1, 4]",
    });
  });

  it("a folder without weights or without config.json, saying what was found", async () => {
    const error = await refusal(folder({ "readme.md": json(1) }));
    expect(error.code).toBe("model.file_missing");
    expect(error.details.found).toBe("config.json, readme.md");
    expect((await refusal(folder({}, null))).details.file).toBe("config.json");
  });

  it("a config that is not JSON", async () => {
    const error = await refusal(folder({}, new TextEncoder().encode("{")));
    expect([error.code, error.details.file]).toEqual(["model.bad_config", "config.json"]);
  });

  it.each([
    ["no map", {}, "model.bad_config"],
    ["a path out of the folder", { weight_map: { w: "../secret.safetensors" } }, "model.bad_config"],
    ["a file that is not there", { weight_map: { w: "model-1.safetensors" } }, "model.file_missing"],
    [
      "a tensor that its file has not",
      { weight_map: { "score.weight": "a.safetensors", w: "a.safetensors" } },
      "model.tensor_missing",
    ],
  ])("an index with %s", async (_what, index, code) => {
    const files = { "model.safetensors.index.json": json(index), "a.safetensors": writeSafetensors(tensors) };
    expect((await refusal(folder(files))).code).toBe(code);
  });
});

describe("sources", () => {
  it("files the user picked are read in parts", async () => {
    const blob = new Blob([Uint8Array.of(1, 2, 3, 4)]);
    const source = new BlobSource(
      "picked",
      new Map([
        ["b", blob],
        ["a", blob],
      ]),
    );
    expect(await source.list()).toEqual(["a", "b"]);
    expect([await source.size("a"), await source.read("a", 1, 3)]).toEqual([4, Uint8Array.of(2, 3)]);
    expect(await source.read("a", 2, 99)).toEqual(Uint8Array.of(3, 4));
    await expect(source.read("c")).rejects.toMatchObject({ code: "model.file_missing", details: { file: "c" } });
  });

  it("a server's files are loaded once, and again only after a failure", async () => {
    const answers = [new Response(null, { status: 404 }), new Response(Uint8Array.of(5, 6, 7))];
    const asked: string[] = [];
    const fetcher = async (url: string | URL | Request) => {
      asked.push(String(url));
      return answers.shift() ?? expect.fail("asked too often");
    };
    const source = new FetchSource("base", new URL("http://localhost/models/x/"), ["a.bin"], fetcher);
    await expect(source.size("a.bin")).rejects.toMatchObject({ code: "model.file_missing" });
    expect([await source.size("a.bin"), await source.read("a.bin", 1)]).toEqual([3, Uint8Array.of(6, 7)]);
    expect(asked).toEqual(["http://localhost/models/x/a.bin", "http://localhost/models/x/a.bin"]);
    await expect(source.read("b.bin")).rejects.toMatchObject({ details: { found: "a.bin" } });
  });

  it("an index page in place of a file, and a server that is gone, are said", async () => {
    const page = async () => new Response("<html>", { headers: { "content-type": "text/html; charset=utf-8" } });
    const gone = () => Promise.reject(new TypeError("fetch failed"));
    for (const [fetcher, text] of [
      [page, "there is no a.bin"],
      [gone, "cannot be reached"],
    ] as const) {
      const source = new FetchSource("base", new URL("http://localhost/"), ["a.bin"], fetcher);
      await expect(source.read("a.bin")).rejects.toThrow(text);
    }
  });
});
