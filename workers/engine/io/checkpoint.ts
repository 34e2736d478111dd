/**
 * A training checkpoint as bytes: a safetensors file whose tensors are `weights.NAME`, `exp_avg.NAME` and
 * `exp_avg_sq.NAME`, and whose metadata holds everything else as JSON plus a checksum over the whole file. Any part of
 * it that is missing or changed makes decoding fail, so a run never continues from half a state.
 */
import { NagiError } from "../../../src/shared/errors";
import { toFloat32 } from "./dtype";
import { parseHeader, type TensorToWrite, writeSafetensors } from "./safetensors";

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export interface Checkpoint {
  /** Optimizer steps taken. */
  readonly optimizer_step: number;
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly exp_avg: ReadonlyMap<string, Float32Array>;
  readonly exp_avg_sq: ReadonlyMap<string, Float32Array>;
  /** Data cursor, RNG states, config, counters: whatever the stage needs to go on. No NaN, no infinity. */
  readonly state: JsonValue;
}

const FORMAT = "nagi-checkpoint";
const VERSION = "1";
const GROUPS = ["weights", "exp_avg", "exp_avg_sq"] as const;
const NO_CHECKSUM = "0".repeat(64);

/** storage.corrupt: details { file, reason }. */
function corrupt(file: string, reason: string): NagiError {
  return new NagiError(
    "storage.corrupt",
    `The checkpoint ${file} is damaged (${reason}) and cannot be continued from. Start the run again, or resume from an older checkpoint.`,
    { file, reason },
  );
}

async function sha256(bytes: Uint8Array): Promise<string> {
  // A digest needs memory that nobody else can write to meanwhile.
  const own =
    bytes.buffer instanceof ArrayBuffer
      ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      : Uint8Array.from(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", own));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Where the data begins: after the header whose length the first 8 bytes give. */
function dataStart(bytes: Uint8Array): number {
  return 8 + Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
}

/** Digest of the header (with NO_CHECKSUM in place of the checksum) and the data's digest: no copy of the data. */
async function checksum(header: string, data: Uint8Array): Promise<string> {
  return await sha256(new TextEncoder().encode(header + (await sha256(data))));
}

/** A JSON string that differs from `value`'s own only in ways JSON.parse cannot see. Throws on what JSON cannot hold. */
function encodeState(value: JsonValue): string {
  return JSON.stringify(value, (key, inner: unknown) => {
    if (typeof inner === "number" && !Number.isFinite(inner)) {
      throw new NagiError("internal", `checkpoint state ${key} is ${inner}, which JSON cannot hold`);
    }
    return inner;
  });
}

/** The bytes of a checkpoint. */
export async function encodeCheckpoint(checkpoint: Checkpoint): Promise<Uint8Array<ArrayBuffer>> {
  const tensors: TensorToWrite[] = [];
  for (const group of GROUPS) {
    for (const [name, data] of checkpoint[group])
      tensors.push({ name: `${group}.${name}`, shape: [data.length], data });
  }
  const bytes = writeSafetensors(tensors, {
    format: FORMAT,
    version: VERSION,
    checksum: NO_CHECKSUM,
    optimizer_step: String(checkpoint.optimizer_step),
    state: encodeState(checkpoint.state),
  });
  const start = dataStart(bytes);
  const header = new TextDecoder().decode(bytes.subarray(8, start));
  const sum = await checksum(header, bytes.subarray(start));
  // The placeholder's characters are ASCII and come before any text of ours, so its place in bytes is that in the text.
  bytes.set(new TextEncoder().encode(sum), 8 + header.indexOf(NO_CHECKSUM));
  return bytes;
}

/**
 * The checkpoint in `bytes`; `file` is what messages call it. Rejects with storage.corrupt where anything is missing,
 * changed or of another version.
 */
export async function decodeCheckpoint(bytes: Uint8Array, file: string): Promise<Checkpoint> {
  let parsed: ReturnType<typeof parseHeader>;
  try {
    parsed = parseHeader(bytes, bytes.byteLength, file);
  } catch (error) {
    throw corrupt(file, error instanceof Error ? error.message : String(error));
  }
  const { metadata, tensors } = parsed;
  if (metadata.format !== FORMAT) throw corrupt(file, "it is not a checkpoint of Nagi");
  if (metadata.version !== VERSION)
    throw corrupt(file, `its version is ${metadata.version}, this studio reads ${VERSION}`);
  const start = dataStart(bytes);
  const expected = metadata.checksum ?? "";
  const header = new TextDecoder().decode(bytes.subarray(8, start)).replace(expected, NO_CHECKSUM);
  if (expected.length !== 64 || (await checksum(header, bytes.subarray(start))) !== expected) {
    throw corrupt(file, "its checksum does not match");
  }
  const groups = {
    weights: new Map<string, Float32Array>(),
    exp_avg: new Map<string, Float32Array>(),
    exp_avg_sq: new Map<string, Float32Array>(),
  };
  for (const entry of tensors.values()) {
    const group = GROUPS.find((name) => entry.name.startsWith(`${name}.`));
    if (!group) throw corrupt(file, `tensor ${entry.name} belongs to no group`);
    groups[group].set(
      entry.name.slice(group.length + 1),
      toFloat32(bytes.subarray(entry.start, entry.end), entry.dtype),
    );
  }
  const step = Number(metadata.optimizer_step);
  if (!Number.isSafeInteger(step) || step < 0) throw corrupt(file, `its step is ${metadata.optimizer_step}`);
  const state: JsonValue = JSON.parse(metadata.state ?? "null");
  return { optimizer_step: step, ...groups, state };
}
