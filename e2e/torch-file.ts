/**
 * Writes a pytorch_model.bin as torch.save does (a pickle and its storages in a zip without compression): for tests of what
 * reads and downloads such files, where no PyTorch is at hand.
 */

export interface TorchTensor {
  readonly name: string;
  readonly type: "FloatStorage" | "HalfStorage" | "ByteStorage";
  readonly shape: readonly number[];
  /** Little-endian, as many as the shape asks for. */
  readonly bytes: Uint8Array;
  /** Of another tensor's storage; default its own. */
  readonly storage?: number;
}

const WIDTH = { FloatStorage: 4, HalfStorage: 2, ByteStorage: 1 } as const;

const text = (value: string): number[] => [...new TextEncoder().encode(value)];
const uint32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)];

/** Opcodes of the pickle machine, as far as a state dict needs them. */
export const op = {
  proto: [0x80, 2],
  stop: text("."),
  mark: text("("),
  tuple: text("t"),
  emptyTuple: text(")"),
  reduce: text("R"),
  setItems: text("u"),
  persistent: text("Q"),
  false: [0x89],
  global: (module: string, name: string) => text(`c${module}\n${name}\n`),
  string: (value: string) => [0x58, ...uint32(text(value).length), ...text(value)],
  int: (value: number) => [0x4a, ...uint32(value)],
  put: (index: number) => [0x71, index],
  get: (index: number) => [0x68, index],
} as const;

const orderedDict = [...op.global("collections", "OrderedDict"), ...op.emptyTuple, ...op.reduce];
const tuple = (...parts: readonly (readonly number[])[]): number[] => [...op.mark, ...parts.flat(), ...op.tuple];

/** The pickle of an OrderedDict of tensors. */
export function statePickle(tensors: readonly TorchTensor[]): Uint8Array<ArrayBuffer> {
  const items = tensors.flatMap(({ name, type, shape, bytes, storage: shared }, index) => {
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
    const count = bytes.length / WIDTH[type];
    const storage = tuple(
      op.string("storage"),
      op.global("torch", type),
      op.string(`${shared ?? index}`),
      op.string("cpu"),
      op.int(count),
    );
    const parts = [
      [...storage, ...op.persistent],
      op.int(0),
      tuple(...shape.map(op.int)),
      tuple(...strides.map(op.int)),
      op.false,
      orderedDict,
    ];
    const rebuild = op.global("torch._utils", "_rebuild_tensor_v2");
    return [...op.string(name), ...rebuild, ...tuple(...parts), ...op.reduce];
  });
  return Uint8Array.from([...op.proto, ...orderedDict, ...op.mark, ...items, ...op.setItems, ...op.stop]);
}

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  return ~crc >>> 0;
}

/** A zip archive without compression. */
export function storedZip(files: Iterable<readonly [name: string, bytes: Uint8Array]>): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const [path, bytes] of files) {
    const name = new TextEncoder().encode(path);
    const size = uint32(bytes.length);
    const common = [20, 0, 0, 0, 0, 0, 0, 0, 33, 0, ...uint32(crc32(bytes)), ...size, ...size, name.length, 0, 0, 0];
    parts.push(Uint8Array.from([...text("PK\x03\x04"), ...common]), name, bytes);
    const places = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...uint32(at)];
    directory.push(Uint8Array.from([...text("PK\x01\x02"), 20, 0, ...common, ...places]), name);
    at += 30 + name.length + bytes.length;
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const count = [directory.length / 2, 0];
  const end = [...text("PK\x05\x06"), 0, 0, 0, 0, ...count, ...count, ...uint32(length), ...uint32(at), 0, 0];
  return Uint8Array.from(Buffer.concat([...parts, ...directory, Uint8Array.from(end)]));
}

/** The whole file. @param pickle in place of the right one */
export function torchFile(
  tensors: readonly TorchTensor[],
  pickle: Uint8Array = statePickle(tensors),
): Uint8Array<ArrayBuffer> {
  return storedZip([
    ["archive/data.pkl", pickle],
    ...tensors.map(({ bytes }, index): [string, Uint8Array] => [`archive/data/${index}`, bytes]),
    ["archive/version", new TextEncoder().encode("3\n")],
  ]);
}
