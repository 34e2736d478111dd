/** Reads and writes a model in the layout of Hugging Face: config.json, weights, tokenizer files. */
import { NagiError } from "../../../src/shared/errors";
import { DTYPE_BYTES, type Dtype, type FloatDtype } from "./dtype";
import { engineNames } from "./names";
import { type LazyTensorToWrite, writeTensors } from "./safetensors";
import { type FileSource, fileMissing, readJson } from "./source";
import { findWeights, type StoredTensor } from "./weights";

/** Files that transformers' tokenizers are made of. */
export const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
] as const;

/** A tensor the architecture needs (engine's name). */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** May be missing from the file, as a score head that training draws anew. */
  readonly optional?: boolean;
}

export interface ModelDescription {
  /** config.json as parsed; model/neox.ts makes sense of it. */
  readonly configJson: unknown;
  readonly files: readonly string[];
  /** By the engine's name; buffers left out. `tensor.name` is the name on disk. */
  readonly stored: ReadonlyMap<string, StoredTensor>;
  /** The type that holds most bytes of weights. */
  readonly dtype: Dtype;
  /** Bytes of all weights on disk. */
  readonly bytes: number;
}

export interface OpenedCheckpoint extends ModelDescription {
  /** By the engine's name: every expected tensor that the files have. Values are read when they are asked for. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** By file name; empty where the folder has none. */
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  /** Tensors in the files that the architecture has no use for (engine's names). */
  readonly unused: readonly string[];
}

/** Looks at a checkpoint without loading its weights. Rejects as findWeights does, and with model.bad_config. */
export async function describeModel(source: FileSource): Promise<ModelDescription> {
  const found = await source.list();
  if (!found.includes("config.json")) throw fileMissing("config.json", source.name, found);
  const configJson = await readJson(source, "config.json", "model.bad_config");
  const weights = await findWeights(source);
  const stored = new Map<string, StoredTensor>();
  const bytesOf = new Map<Dtype, number>();
  let bytes = 0;
  for (const [onDisk, name] of engineNames(weights.tensors.keys())) {
    const tensor = weights.tensors.get(onDisk);
    if (!tensor) continue;
    stored.set(name, tensor);
    bytes += tensor.bytes;
    bytesOf.set(tensor.dtype, (bytesOf.get(tensor.dtype) ?? 0) + tensor.bytes);
  }
  const dtype = [...bytesOf].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "F32";
  return { configJson, files: weights.files, stored, dtype, bytes };
}

export interface OpenOptions {
  /** What the config asks for: everything not optional must be there with this shape. Default: take what is there. */
  readonly expected?: (configJson: unknown) => readonly ExpectedTensor[];
}

/**
 * Opens a checkpoint: everything is checked, no weights are read. Rejects as describeModel does, and with
 * model.tensor_missing or model.tensor_shape.
 */
export async function openCheckpoint(source: FileSource, options: OpenOptions = {}): Promise<OpenedCheckpoint> {
  const description = await describeModel(source);
  const { stored } = description;
  const expected =
    options.expected?.(description.configJson) ??
    [...stored].map(([name, { shape }]) => ({ name, shape, optional: false }));
  const wanted = checkTensors(description, expected);
  const tensors = new Map(wanted);
  const unused = [...stored.keys()].filter((name) => !tensors.has(name));
  return { ...description, tensors, tokenizerFiles: await readTokenizerFiles(source), unused };
}

/**
 * The expected tensors that the checkpoint has, in their order, without loading them. Throws model.tensor_missing where
 * one is not optional and not there, model.tensor_shape where one has another shape.
 */
export function checkTensors(
  { stored, files }: ModelDescription,
  expected: readonly ExpectedTensor[],
): [name: string, tensor: StoredTensor][] {
  const wanted: [string, StoredTensor][] = [];
  for (const { name, shape, optional } of expected) {
    const tensor = stored.get(name);
    if (tensor) {
      checkShape(tensor, shape);
      wanted.push([name, tensor]);
    } else if (!optional) throw tensorMissing(name, files);
  }
  return wanted;
}

/** model.tensor_missing: details { file, tensor }. */
function tensorMissing(tensor: string, files: readonly string[]): NagiError {
  const file = files.join(", ");
  return new NagiError(
    "model.tensor_missing",
    `${file} has no tensor ${tensor}, which the model of config.json needs. Take config.json and weights of the same model.`,
    { file, tensor },
  );
}

/** model.tensor_shape: details { file, tensor, found, expected }. */
function checkShape(tensor: StoredTensor, shape: readonly number[]): void {
  const same = tensor.shape.length === shape.length && shape.every((size, axis) => tensor.shape[axis] === size);
  if (same) return;
  const found = `[${tensor.shape.join(", ")}]`;
  const expected = `[${shape.join(", ")}]`;
  throw new NagiError(
    "model.tensor_shape",
    `${tensor.file}: tensor ${tensor.name} has the shape ${found}, but config.json asks for ${expected}. Take config.json and weights of the same model.`,
    { file: tensor.file, tensor: tensor.name, found, expected },
  );
}

/** The tokenizer files that a folder has. */
export async function readTokenizerFiles(source: FileSource): Promise<Map<string, Uint8Array>> {
  const found = new Set(await source.list());
  const files = new Map<string, Uint8Array>();
  for (const path of TOKENIZER_FILES) if (found.has(path)) files.set(path, await source.read(path));
  return files;
}

export interface ModelToSave {
  /** The base model's config.json, an object; what follows replaces its fields. */
  readonly configJson: Readonly<Record<string, unknown>>;
  readonly architecture: "GPTNeoXForCausalLM" | "GPTNeoXForSequenceClassification";
  /** Names of the score head's rows, e.g. ["negative", "positive"]; one name for a single logit. */
  readonly labels?: readonly string[];
  readonly padTokenId: number;
  /** With Hugging Face names, in the order of the file. */
  readonly tensors: readonly LazyTensorToWrite[];
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  /** Default F32. */
  readonly dtype?: FloatDtype;
  /** Bytes of weights a file, beyond which they are split over several. Default 2 GB. */
  readonly maxShardBytes?: number;
}

const TORCH_NAMES: Readonly<Record<FloatDtype, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/**
 * The files of a model folder that transformers' from_pretrained loads. Tensors are read as they are written; rejects as
 * their source does.
 */
export async function saveModel(model: ModelToSave): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const dtype = model.dtype ?? "F32";
  const config: Record<string, unknown> = { ...model.configJson };
  // Both names of the type exist; one of them only, so that they cannot disagree.
  delete config.torch_dtype;
  delete config._name_or_path;
  config.architectures = [model.architecture];
  config.model_type = "gpt_neox";
  config.dtype = TORCH_NAMES[dtype];
  config.pad_token_id = model.padTokenId;
  addOldRotary(config);
  if (model.labels) {
    config.num_labels = model.labels.length;
    config.id2label = Object.fromEntries(model.labels.map((label, id) => [String(id), label]));
    config.label2id = Object.fromEntries(model.labels.map((label, id) => [label, id]));
  }
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  files.set("config.json", encodeJson(Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)))));
  for await (const [path, bytes] of saveWeights(model.tensors, dtype, model.maxShardBytes ?? 2e9))
    files.set(path, bytes);
  for (const [path, bytes] of model.tokenizerFiles) files.set(path, Uint8Array.from(bytes));
  return files;
}

/** Readers from before transformers 5 (converters too) know only these names, and else assume a rotary share of 0.25. */
function addOldRotary(config: Record<string, unknown>): void {
  const rope = config.rope_parameters;
  if (typeof rope !== "object" || rope === null) return;
  if ("partial_rotary_factor" in rope) config.rotary_pct ??= rope.partial_rotary_factor;
  if ("rope_theta" in rope) config.rotary_emb_base ??= rope.rope_theta;
}

function encodeJson(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}

async function* saveWeights(
  tensors: readonly LazyTensorToWrite[],
  dtype: FloatDtype,
  maxShardBytes: number,
): AsyncGenerator<[string, Uint8Array<ArrayBuffer>]> {
  const shards: LazyTensorToWrite[][] = [[]];
  let shardBytes = 0;
  let totalBytes = 0;
  for (const tensor of tensors) {
    const bytes = tensor.data.length * DTYPE_BYTES[dtype];
    if (shardBytes > 0 && shardBytes + bytes > maxShardBytes) {
      shards.push([]);
      shardBytes = 0;
    }
    shards.at(-1)?.push(tensor);
    shardBytes += bytes;
    totalBytes += bytes;
  }
  // transformers refuses files that do not say which framework's layout they have.
  const metadata = { format: "pt" };
  if (shards.length === 1) {
    yield ["model.safetensors", await writeTensors(tensors, metadata, dtype)];
    return;
  }
  const weightMap: Record<string, string> = {};
  const count = String(shards.length).padStart(5, "0");
  for (const [index, shard] of shards.entries()) {
    const path = `model-${String(index + 1).padStart(5, "0")}-of-${count}.safetensors`;
    for (const { name } of shard) weightMap[name] = path;
    yield [path, await writeTensors(shard, metadata, dtype)];
  }
  yield ["model.safetensors.index.json", encodeJson({ metadata: { total_size: totalBytes }, weight_map: weightMap })];
}
