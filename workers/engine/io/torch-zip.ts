/**
 * Reads the weights of a pytorch_model.bin (a zip since PyTorch 1.6) without Python and without running its pickle.
 */
import { NagiError } from "../../../src/shared/errors";
import { crc32 } from "./crc32";
import { DTYPE_BYTES, type Dtype, toFloat32 } from "./dtype";
import {
  PickleCall,
  PickleDict,
  PickleError,
  PickleGlobal,
  PickleReference,
  type PickleValue,
  readPickle,
} from "./pickle";
import { descriptionLimit, type FileSource } from "./source";
import { PIECE_ELEMENTS, wholeTensor } from "./tensors";
import { dataOffset, openZip, type ZipEntry, ZipError } from "./zip";

export interface TorchTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Elements, not bytes. */
  readonly strides: readonly number[];
  readonly storageOffset: number;
  /** Bytes of the storage in the file: [start, end). Several tensors may share one. */
  readonly start: number;
  readonly end: number;
  /** Of the storage's bytes; 0 where the writer computed none. */
  readonly crc32: number;
}

const STORAGE_DTYPES: Readonly<Record<string, Dtype>> = {
  "torch.FloatStorage": "F32",
  "torch.HalfStorage": "F16",
  "torch.BFloat16Storage": "BF16",
  "torch.DoubleStorage": "F64",
  "torch.LongStorage": "I64",
  "torch.IntStorage": "I32",
  "torch.ShortStorage": "I16",
  "torch.CharStorage": "I8",
  "torch.ByteStorage": "U8",
  "torch.BoolStorage": "BOOL",
};

/** As many as torch itself allows. */
const MAX_AXES = 64;
/** Characters of a reason, which may quote the file. */
const LONGEST_REASON = 500;
const WAY_OUT =
  "Take the model's model.safetensors, or load it in PyTorch and save it with save_pretrained(..., safe_serialization=True).";

/** model.bad_pickle: details { file, reason, callable (what it wanted to call; empty if nothing) }. */
function bad(file: string, said: string, callable = ""): NagiError {
  const reason = said.slice(0, LONGEST_REASON);
  return new NagiError("model.bad_pickle", `${file}: ${reason}. ${WAY_OUT}`, { file, reason, callable });
}

/** All tensors of a state dict, without their data. Rejects with model.bad_pickle or model.tensor_type. */
export async function openTorchZip(source: FileSource, path: string): Promise<Map<string, TorchTensor>> {
  const start = await source.read(path, 0, 4);
  const isZip = start[0] === 0x50 && start[1] === 0x4b;
  if (!isZip) {
    const legacy = start[0] === 0x80;
    throw bad(
      path,
      legacy ? "is in PyTorch's format from before version 1.6" : "is not a file of torch.save (no zip archive)",
    );
  }
  try {
    const entries = await openZip(source, path);
    const prefix = findPrefix(entries);
    await checkByteOrder(source, path, entries.get(`${prefix}byteorder`));
    const pickle = await readPickleFile(source, path, entries.get(`${prefix}data.pkl`));
    const tensors = new Map<string, TorchTensor>();
    if (!(pickle instanceof PickleDict)) throw new PickleError("it holds no state dict");
    for (const [name, value] of pickle.entries) {
      // Counters and settings beside the weights are not tensors.
      if (typeof name !== "string" || !(value instanceof PickleCall)) continue;
      tensors.set(name, await describeTensor(source, path, entries, prefix, name, value));
    }
    if (tensors.size === 0) throw new PickleError("it holds no tensors at its top level");
    checkSize([...tensors.values()], await source.size(path));
    return tensors;
  } catch (error) {
    if (error instanceof PickleError)
      throw bad(path, `its pickle cannot be read: ${error.message}`, error.callable ?? "");
    if (error instanceof ZipError) throw bad(path, `its zip archive cannot be read: ${error.message}`);
    throw error;
  }
}

/** Tied weights are one storage under two names; a storage under a thousand names would make a small file a large model. */
function checkSize(tensors: readonly TorchTensor[], fileSize: number): void {
  const total = tensors.reduce((sum, tensor) => sum + elementsOf(tensor) * DTYPE_BYTES[tensor.dtype], 0);
  if (!(total <= 2 * fileSize)) throw new PickleError(`it makes ${total} bytes of tensors out of ${fileSize}`);
}

/** torch.save puts everything below one folder, whose name is that of the file when it was saved. */
function findPrefix(entries: ReadonlyMap<string, ZipEntry>): string {
  for (const name of entries.keys()) if (/^[^/]*\/data\.pkl$/.test(name)) return name.slice(0, -"data.pkl".length);
  throw new ZipError("it has no data.pkl");
}

async function checkByteOrder(source: FileSource, path: string, entry: ZipEntry | undefined): Promise<void> {
  if (!entry) return;
  const order = new TextDecoder().decode(await readEntry(source, path, entry, 16));
  if (order.trim() !== "little") throw new ZipError(`its byte order is ${order.trim()}`);
}

async function readPickleFile(source: FileSource, path: string, entry: ZipEntry | undefined): Promise<PickleValue> {
  if (!entry) throw new ZipError("it has no data.pkl");
  const bytes = await readEntry(source, path, entry, descriptionLimit(await source.size(path)));
  if (crc32(bytes) !== entry.crc32) throw new ZipError("data.pkl does not match its checksum");
  return readPickle(bytes);
}

async function readEntry(source: FileSource, path: string, entry: ZipEntry, limit: number): Promise<Uint8Array> {
  if (entry.size > limit) throw new ZipError(`${entry.name} claims ${entry.size} bytes`);
  const start = await dataOffset(source, path, entry);
  return await source.read(path, start, start + entry.size);
}

function isSizes(value: PickleValue | undefined): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= MAX_AXES &&
    value.every((size) => typeof size === "number" && Number.isSafeInteger(size) && size >= 0)
  );
}

/** Checks one recorded _rebuild_tensor_v2(storage, offset, size, stride, ...) against the archive. */
async function describeTensor(
  source: FileSource,
  path: string,
  entries: ReadonlyMap<string, ZipEntry>,
  prefix: string,
  name: string,
  call: PickleCall,
): Promise<TorchTensor> {
  if (call.callable === "torch._utils._rebuild_parameter") {
    const inner = call.args[0];
    // One level: a list that holds itself could nest them without end.
    if (!(inner instanceof PickleCall) || inner.callable === call.callable)
      throw new PickleError(`${name} is a parameter without a tensor`);
    return await describeTensor(source, path, entries, prefix, name, inner);
  }
  const [storage, offset, shape, strides] = call.args;
  const valid =
    storage instanceof PickleReference &&
    typeof offset === "number" &&
    Number.isSafeInteger(offset) &&
    offset >= 0 &&
    isSizes(shape) &&
    isSizes(strides) &&
    shape.length === strides.length;
  if (!valid) throw new PickleError(`${name} is described in an unknown way`);
  const [kind, type, key, , count] = storage.id;
  const dtype = type instanceof PickleGlobal ? STORAGE_DTYPES[type.path] : undefined;
  if (kind !== "storage" || !dtype || typeof key !== "string" || typeof count !== "number") {
    throw new PickleError(`the storage of ${name} is described in an unknown way`);
  }
  const entry = entries.get(`${prefix}data/${key}`);
  if (!entry) throw new ZipError(`data/${key}, the storage of ${name}, is missing`);
  const width = DTYPE_BYTES[dtype];
  if (entry.size !== count * width) {
    throw new ZipError(`data/${key} has ${entry.size} bytes, but ${name} needs ${count} elements of ${dtype}`);
  }
  const total = shape.reduce((product, size) => product * size, 1);
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] ?? 0), offset);
  if (total > 0 && (last >= count || total > count)) {
    throw new PickleError(`${name} [${shape.join(", ")}] reaches past its storage of ${count} elements`);
  }
  const start = await dataOffset(source, path, entry);
  return { name, dtype, shape, strides, storageOffset: offset, start, end: start + entry.size, crc32: entry.crc32 };
}

/** One tensor as float32, row-major whatever its strides. */
export function readTorchTensor(source: FileSource, path: string, tensor: TorchTensor): Promise<Float32Array> {
  return wholeTensor({ length: elementsOf(tensor), pieces: () => torchPieces(source, path, tensor) });
}

const elementsOf = ({ shape }: TorchTensor): number => shape.reduce((product, size) => product * size, 1);

/**
 * The same piece by piece. A tensor whose strides are not those of its shape needs its part of the storage whole; weights
 * as PyTorch saves them never do. Rejects with model.bad_pickle where the bytes are not what the archive says.
 */
export async function* torchPieces(
  source: FileSource,
  path: string,
  tensor: TorchTensor,
): AsyncGenerator<Float32Array> {
  const total = elementsOf(tensor);
  if (total === 0) return;
  if (isContiguous(tensor.shape, tensor.strides)) yield* inOrder(source, path, tensor, total);
  else yield* gathered(source, path, tensor, total);
}

async function* inOrder(
  source: FileSource,
  path: string,
  { name, dtype, start, end, storageOffset, crc32: expected }: TorchTensor,
  total: number,
): AsyncGenerator<Float32Array> {
  const width = DTYPE_BYTES[dtype];
  const first = start + storageOffset * width;
  const last = first + total * width;
  const whole = first === start && last === end && expected !== 0;
  let found = 0;
  for (let at = first; at < last; at += PIECE_ELEMENTS * width) {
    const bytes = await readExactly(source, path, at, Math.min(last, at + PIECE_ELEMENTS * width));
    if (whole) found = crc32(bytes, found);
    yield toFloat32(bytes, dtype);
  }
  if (whole && found !== expected) throw bad(path, `the data of ${name} does not match its checksum (damaged?)`);
}

async function* gathered(
  source: FileSource,
  path: string,
  { dtype, shape, strides, start, storageOffset }: TorchTensor,
  total: number,
): AsyncGenerator<Float32Array> {
  const width = DTYPE_BYTES[dtype];
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] ?? 0), 0);
  const first = start + storageOffset * width;
  const storage = await readExactly(source, path, first, first + (last + 1) * width);
  const index = new Array<number>(shape.length).fill(0);
  let position = 0;
  for (let done = 0; done < total; done += PIECE_ELEMENTS) {
    const count = Math.min(PIECE_ELEMENTS, total - done);
    const bytes = new Uint8Array(count * width);
    for (let i = 0; i < count; i++) {
      for (let byte = 0; byte < width; byte++) bytes[i * width + byte] = storage[position * width + byte] ?? 0;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        const next = (index[axis] ?? 0) + 1;
        position += strides[axis] ?? 0;
        if (next < (shape[axis] ?? 0)) {
          index[axis] = next;
          break;
        }
        index[axis] = 0;
        position -= next * (strides[axis] ?? 0);
      }
    }
    yield toFloat32(bytes, dtype);
  }
}

async function readExactly(source: FileSource, path: string, start: number, end: number): Promise<Uint8Array> {
  const bytes = await source.read(path, start, end);
  if (bytes.byteLength !== end - start) throw bad(path, "became shorter while it was read");
  return bytes;
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis] ?? 1;
  }
  return true;
}
