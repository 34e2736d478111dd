/** Finds a checkpoint's weights, whatever files they are in, without loading them. */
import { NagiError } from "../../../src/shared/errors";
import { DTYPE_BYTES, type Dtype } from "./dtype";
import { openSafetensors, tensorPieces } from "./safetensors";
import { type FileSource, fileMissing, readJson } from "./source";
import type { LazyTensor } from "./tensors";
import { openTorchZip, torchPieces } from "./torch-zip";

/** A tensor that can be read: its description, and its values as float32 (row-major). */
export interface StoredTensor extends LazyTensor {
  readonly file: string;
  /** As on disk. */
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Bytes of its values on disk. */
  readonly bytes: number;
}

export interface WeightFiles {
  readonly format: "safetensors" | "pytorch";
  readonly files: readonly string[];
  /** By name on disk. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** In the order in which transformers prefers them. */
const CANDIDATES = [
  { path: "model.safetensors", format: "safetensors", index: false },
  { path: "model.safetensors.index.json", format: "safetensors", index: true },
  { path: "pytorch_model.bin", format: "pytorch", index: false },
  { path: "pytorch_model.bin.index.json", format: "pytorch", index: true },
] as const;

/**
 * Lists the tensors of a Hugging Face checkpoint. Rejects with model.file_missing, model.bad_safetensors,
 * model.bad_pickle, model.tensor_type or model.bad_config (a damaged index).
 */
export async function findWeights(source: FileSource): Promise<WeightFiles> {
  const found = await source.list();
  const candidate = CANDIDATES.find(({ path }) => found.includes(path));
  if (!candidate) throw fileMissing("model.safetensors or pytorch_model.bin", source.name, found);
  const { path, format } = candidate;
  if (!candidate.index) return { format, files: [path], tensors: await openWeights(source, path, format) };

  const index = await readIndex(source, path);
  const files = [...new Set(index.values())].sort();
  const tensors = new Map<string, StoredTensor>();
  for (const file of files) {
    if (!found.includes(file)) throw fileMissing(`${file} (named by ${path})`, source.name, found);
    for (const [name, tensor] of await openWeights(source, file, format))
      if (index.get(name) === file) tensors.set(name, tensor);
  }
  for (const [name, file] of index) {
    if (!tensors.has(name)) {
      throw new NagiError(
        "model.tensor_missing",
        `${file} has no tensor ${name}, although ${path} says so. Download the model again.`,
        { file, tensor: name },
      );
    }
  }
  return { format, files, tensors };
}

/** The tensors of one file, without their values. */
export async function openWeights(
  source: FileSource,
  file: string,
  format: WeightFiles["format"],
): Promise<Map<string, StoredTensor>> {
  const tensors = new Map<string, StoredTensor>();
  const add = (name: string, dtype: Dtype, shape: readonly number[], pieces: LazyTensor["pieces"]): void => {
    const length = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, { file, name, dtype, shape, length, bytes: length * DTYPE_BYTES[dtype], pieces });
  };
  if (format === "safetensors") {
    for (const entry of (await openSafetensors(source, file)).tensors.values())
      add(entry.name, entry.dtype, entry.shape, () => tensorPieces(source, file, entry));
  } else {
    for (const tensor of (await openTorchZip(source, file)).values())
      add(tensor.name, tensor.dtype, tensor.shape, () => torchPieces(source, file, tensor));
  }
  return tensors;
}

/** An index's `weight_map`: tensor name to file. */
async function readIndex(source: FileSource, path: string): Promise<Map<string, string>> {
  const json = await readJson(source, path, "model.bad_config");
  const weightMap =
    typeof json === "object" && json !== null && "weight_map" in json ? (json.weight_map as unknown) : undefined;
  const entries = typeof weightMap === "object" && weightMap !== null ? Object.entries(weightMap) : [];
  const map = new Map<string, string>();
  for (const [name, file] of entries) {
    // A path that leaves the folder would let a download read its neighbours.
    if (typeof file !== "string" || !/^[^/\\]+$/.test(file))
      throw badIndex(path, `weight_map.${name}`, "is no file name");
    map.set(name, file);
  }
  if (map.size === 0) throw badIndex(path, "weight_map", "is missing or empty");
  return map;
}

/** model.bad_config: details { file, field, problem }. */
function badIndex(file: string, field: string, problem: string): NagiError {
  return new NagiError("model.bad_config", `${file}: ${field} ${problem}. Download the model again.`, {
    file,
    field,
    problem,
  });
}
