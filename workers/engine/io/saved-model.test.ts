/**
 * The committed folder fixtures/saved-model is what our writer gives: this test holds the writer to its bytes, and
 * workers/remote/tests/test_saved_model.py shows that transformers loads them and computes what they say.
 * After a wanted change of the writer: NAGI_WRITE_FIXTURES=1 npx vitest run --project unit workers/engine/io/saved-model
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { parseNeoxConfig } from "../model/neox-config";
import { neoxParameterShapes } from "../model/shapes";
import { openCheckpoint, saveModel } from "./hf-model";
import type { TensorToWrite } from "./safetensors";
import { MapSource } from "./source";
import { wholeTensors } from "./tensors";

const folder = new URL("./fixtures/saved-model/", import.meta.url);
const tokenizerFolder = new URL("./fixtures/tiny-tokenizer/", import.meta.url);
const readFolder = (url: URL) =>
  new Map(readdirSync(url).map((name) => [name, new Uint8Array(readFileSync(new URL(name, url)))]));

/** A base model's config.json, as transformers 5 writes it. */
const baseConfig = {
  architectures: ["GPTNeoXForCausalLM"],
  attention_bias: true,
  bos_token_id: 0,
  dtype: "float16",
  eos_token_id: 0,
  hidden_act: "gelu",
  hidden_size: 16,
  initializer_range: 0.02,
  intermediate_size: 24,
  layer_norm_eps: 1e-5,
  max_position_embeddings: 64,
  model_type: "gpt_neox",
  num_attention_heads: 2,
  num_hidden_layers: 2,
  rope_parameters: { partial_rotary_factor: 0.5, rope_theta: 10000, rope_type: "default" },
  tie_word_embeddings: false,
  use_cache: true,
  use_parallel_residual: false,
  vocab_size: 300,
};
const expected = (json: unknown) =>
  [...neoxParameterShapes(parseNeoxConfig(json), { kind: "reward", num_labels: 2 })].map(([name, shape]) => ({
    name,
    shape,
  }));

/** Only additions and multiplications by powers of two: the same values on every machine. */
function drawTensors(): TensorToWrite[] {
  const random = Random.seeded(2026);
  return expected(baseConfig).map(({ name, shape }) => {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < data.length; i++)
      data[i] = (name.endsWith("norm.weight") ? 1 : 0) + (random.uniform() - 0.5) / 2;
    return { name, shape, data };
  });
}

const save = () =>
  saveModel({
    configJson: baseConfig,
    architecture: "GPTNeoXForSequenceClassification",
    labels: ["negative", "positive"],
    padTokenId: 1,
    tensors: drawTensors(),
    tokenizerFiles: readFolder(tokenizerFolder),
  });

describe("the saved model that Python loads", () => {
  it("is what the writer gives, byte for byte", async () => {
    const files = await save();
    if (process.env.NAGI_WRITE_FIXTURES) {
      mkdirSync(folder, { recursive: true });
      for (const [name, bytes] of files) writeFileSync(new URL(name, folder), bytes);
    }
    const committed = readFolder(folder);
    expect([...files.keys()].sort()).toEqual([...committed.keys()].sort());
    for (const [name, bytes] of files)
      expect(Buffer.from(bytes).equals(committed.get(name) ?? Buffer.of()), name).toBe(true);
  });

  it("loads into the engine with every value", async () => {
    const loaded = await openCheckpoint(new MapSource("saved", await save()), { expected });
    const tensors = await wholeTensors(loaded.tensors);
    for (const { name, data } of drawTensors()) expect(tensors.get(name), name).toEqual(data);
    expect(loaded.unused).toEqual([]);
    expect(loaded.dtype).toBe("F32");
    expect([...loaded.tokenizerFiles.keys()].sort()).toEqual(["tokenizer.json", "tokenizer_config.json"]);
  });
});
