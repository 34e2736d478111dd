/** A GPT-NeoX checkpoint of half a million random weights with the bundled tokenizer: quick even on a software GPU. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type TensorHeader, writeCheckpoint } from "./safetensors";
import { type TorchTensor, torchFile } from "./torch-file";

const BASE = new URL("../public/models/nagi-base/", import.meta.url);
const HIDDEN = 32;
const LAYERS = 1;

/** Weights by a small generator of the test's own: the same on every machine. */
function random(): () => number {
  let state = 12345;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.07;
  };
}

function shapes(vocabulary: number): Record<string, number[]> {
  const all: Record<string, number[]> = {
    "gpt_neox.embed_in.weight": [vocabulary, HIDDEN],
    "gpt_neox.final_layer_norm.weight": [HIDDEN],
    "gpt_neox.final_layer_norm.bias": [HIDDEN],
    "embed_out.weight": [vocabulary, HIDDEN],
  };
  const linear = (name: string, outputs: number, inputs: number) => {
    all[`${name}.weight`] = [outputs, inputs];
    all[`${name}.bias`] = [outputs];
  };
  for (let layer = 0; layer < LAYERS; layer++) {
    const prefix = `gpt_neox.layers.${layer}`;
    for (const norm of ["input_layernorm", "post_attention_layernorm"])
      for (const part of ["weight", "bias"]) all[`${prefix}.${norm}.${part}`] = [HIDDEN];
    linear(`${prefix}.attention.query_key_value`, 3 * HIDDEN, HIDDEN);
    linear(`${prefix}.attention.dense`, HIDDEN, HIDDEN);
    linear(`${prefix}.mlp.dense_h_to_4h`, 4 * HIDDEN, HIDDEN);
    linear(`${prefix}.mlp.dense_4h_to_h`, HIDDEN, 4 * HIDDEN);
  }
  return all;
}

/** The model's tensors with values, in their order. */
function tensors(vocabulary: number): { name: string; shape: number[]; bytes: Buffer }[] {
  const next = random();
  return Object.entries(shapes(vocabulary)).map(([name, shape]) => {
    const count = shape.reduce((product, length) => product * length, 1);
    const scale = name.includes("norm") && name.endsWith("weight");
    const values = Float32Array.from({ length: count }, () => (scale ? 1 : next()));
    return { name, shape, bytes: Buffer.from(values.buffer) };
  });
}

/** Config and tokenizer. @returns entries of the vocabulary */
function writeRest(folder: string): number {
  mkdirSync(folder, { recursive: true });
  for (const name of ["tokenizer.json", "tokenizer_config.json"])
    copyFileSync(fileURLToPath(new URL(name, BASE)), `${folder}/${name}`);
  const config = JSON.parse(readFileSync(new URL("config.json", BASE), "utf8"));
  const size = {
    hidden_size: HIDDEN,
    num_hidden_layers: LAYERS,
    num_attention_heads: 2,
    intermediate_size: 4 * HIDDEN,
    layer_types: undefined,
  };
  writeFileSync(`${folder}/config.json`, JSON.stringify({ ...config, ...size }));
  return config.vocab_size;
}

export function writeTinyModel(folder: string): void {
  const header: Record<string, TensorHeader> = {};
  const parts: Buffer[] = [];
  let offset = 0;
  for (const { name, shape, bytes } of tensors(writeRest(folder))) {
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + bytes.length] };
    parts.push(bytes);
    offset += bytes.length;
  }
  writeFileSync(`${folder}/model.safetensors`, writeCheckpoint({ header, data: Buffer.concat(parts) }));
}

/** The same model as open-calm is published: pytorch_model.bin, with the causal masks of old transformers versions in it. */
export function writeTinyTorchModel(folder: string): void {
  const context = 64;
  const weights = tensors(writeRest(folder)).map((tensor): TorchTensor => ({ ...tensor, type: "FloatStorage" }));
  const masks = Array.from({ length: LAYERS }, (_, layer): TorchTensor[] => [
    {
      name: `gpt_neox.layers.${layer}.attention.bias`,
      type: "ByteStorage",
      shape: [1, 1, context, context],
      bytes: new Uint8Array(context * context).fill(1),
    },
    {
      name: `gpt_neox.layers.${layer}.attention.masked_bias`,
      type: "HalfStorage",
      shape: [],
      bytes: Uint8Array.of(0, 252),
    },
  ]);
  writeFileSync(`${folder}/pytorch_model.bin`, torchFile([...weights, ...masks.flat()]));
}
