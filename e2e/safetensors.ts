/** A little of the safetensors format, just enough to spoil a file in the ways the journeys need. */

export interface TensorHeader {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}
export interface Checkpoint {
  readonly header: Record<string, TensorHeader>;
  readonly data: Buffer;
}

export function readCheckpoint(file: Buffer): Checkpoint {
  const length = Number(file.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(file.subarray(8, 8 + length).toString("utf8"));
  return { header, data: file.subarray(8 + length) };
}

export function writeCheckpoint({ header, data }: Checkpoint, claimedLength?: bigint): Buffer {
  const text = Buffer.from(JSON.stringify(header), "utf8");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimedLength ?? BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

/** The same checkpoint without one tensor, laid out anew so that nothing else is wrong with it. */
export function without({ header, data }: Checkpoint, name: string): Checkpoint {
  const kept: Record<string, TensorHeader> = {};
  const parts: Buffer[] = [];
  let offset = 0;
  for (const [key, tensor] of Object.entries(header)) {
    if (key === name) continue;
    const [start, end] = tensor.data_offsets;
    kept[key] = { ...tensor, data_offsets: [offset, offset + end - start] };
    parts.push(data.subarray(start, end));
    offset += end - start;
  }
  return { header: kept, data: Buffer.concat(parts) };
}

/** The same checkpoint with one header entry changed. */
export function changed(
  { header, data }: Checkpoint,
  name: string,
  change: (tensor: TensorHeader) => TensorHeader,
): Checkpoint {
  const tensor = header[name];
  if (tensor === undefined) throw new Error(`no tensor ${name}`);
  return { header: { ...header, [name]: change(tensor) }, data };
}
