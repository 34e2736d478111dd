/**
 * What the studio and a remote worker say to each other over one WebSocket: the only declaration of it. `emit-schema.ts`
 * writes it as JSON Schema (workers/remote/protocol/schema.json), which the Python side validates with; the same fixtures
 * pass and fail in both languages. No defaults, transforms or refinements here: JSON Schema could not say them.
 *
 * Text frames are JSON. Binary frames are a u32 (little endian) with the length of a JSON header, the header in UTF-8,
 * and raw bytes. A frame has at most MAX_FRAME_BYTES.
 */
import { z } from "zod";
import { artefactManifest, artefactParent, artefactRecord, sha256 } from "./artefact";
import { runConfig } from "./config";
import { errorData, runEvent } from "./events";
import { launchConfig, launcher, precision, quantization, trackerName, trackingConfig } from "./launch";
import { runRecord } from "./run";
import { stageConfig, stageId } from "./stages";

export const MAX_FRAME_BYTES = 4 << 20;
/** Bytes one read_blob may ask for, and what the studio sends a write_blob. */
export const MAX_PIECE_BYTES = 1 << 20;
/** Milliseconds within which hello must arrive. */
export const HELLO_WITHIN = 10_000;
/** Codes with which a worker closes: wrong token, another schema. */
export const CLOSE_UNAUTHORIZED = 4401;
export const CLOSE_SCHEMA = 4409;

/** Becomes the name of a folder: no slash, no dot in front. */
export const remoteRunId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/);
const requestId = z.int().min(1);
const bytes = z.int().min(0);
const share = z.number().min(0).max(1);

/**
 * The rows of a stage as JSONL blobs that were uploaded before: {sentence, label, review_id} a line, the good rows of the
 * file in its order. Which of them a stage uses, and in which order, follows from its settings and the seed on both sides.
 */
export const remoteData = z.strictObject({
  train: sha256,
  validation: sha256,
  test: sha256.nullable(),
  /** {prompt, chosen, rejected} a line; null where the stage names none. */
  pairs: sha256.nullable(),
});

export const startCommand = z.strictObject({
  name: z.literal("start"),
  run_id: remoteRunId,
  /** Of the whole pipeline. */
  config: runConfig,
  stage: stageId,
  /**
   * Slot to the id of an artefact that was put before, `hub:OWNER/NAME[@REVISION]` or `local:PATH`. Where an adapter
   * stands in a slot, `SLOT.base` says in the same way what it was trained on.
   */
  inputs: z.record(z.string().min(1).max(120), z.string().min(1).max(1024)),
  /** null for a stage that reads no rows. */
  data: remoteData.nullable(),
  launch: launchConfig,
  /** What the artefact is to record: the studio's names of what went in. */
  parents: z.array(artefactParent).max(64),
  artefact_name: z.string().min(1).max(200),
});

const size = z.int().min(1).max(10_000_000);

/** What memory is reckoned from, of a GPT-NeoX config.json. */
export const modelShape = z.strictObject({
  hidden_size: size,
  num_hidden_layers: size,
  vocab_size: size,
  max_position_embeddings: size,
});

const aboutRun = <N extends string>(name: N) => z.strictObject({ name: z.literal(name), run_id: remoteRunId });
const plain = <N extends string>(name: N) => z.strictObject({ name: z.literal(name) });

export const remoteCommand = z.discriminatedUnion("name", [
  plain("status"),
  plain("list_runs"),
  startCommand,
  aboutRun("pause"),
  aboutRun("resume"),
  aboutRun("stop"),
  aboutRun("checkpoint"),
  aboutRun("delete"),
  /** Stored events from `since_seq` on follow as `events`, then live ones. */
  z.strictObject({ name: z.literal("subscribe"), run_id: remoteRunId, since_seq: z.int().min(0) }),
  aboutRun("unsubscribe"),
  plain("subscribe_status"),
  z.strictObject({ name: z.literal("stat_blob"), sha256, bytes }),
  z.strictObject({
    name: z.literal("read_blob"),
    sha256,
    offset: bytes,
    bytes: z.int().min(1).max(MAX_PIECE_BYTES),
  }),
  z.strictObject({ name: z.literal("put_artefact"), record: artefactRecord }),
  z.strictObject({ name: z.literal("get_artefact"), id: sha256 }),
  plain("list_artefacts"),
  z.strictObject({ name: z.literal("delete_artefact"), id: sha256 }),
  z.strictObject({
    name: z.literal("preflight"),
    config: runConfig,
    stage: stageId,
    launch: launchConfig,
    /** Of the run's model, where the studio has its config.json: the worker has not, before it is sent. */
    model: modelShape.nullable(),
  }),
  z.strictObject({ name: z.literal("logs"), run_id: remoteRunId, offset: bytes }),
  /** Events of a browser's run for the worker's trackers; those sent twice are counted once, by seq. */
  z.strictObject({
    name: z.literal("forward"),
    run_id: remoteRunId,
    events: z.array(runEvent).max(1000),
    tracking: trackingConfig,
  }),
  /** Only at a worker that has joined a relay. */
  plain("join_code"),
]);

/** First message of a connection. */
export const helloMessage = z.strictObject({
  type: z.literal("hello"),
  /** SHA-256 of schema.json as the studio was built with it. */
  schema_hash: sha256,
  token: z.string().min(1).max(300),
});

export const clientMessage = z.discriminatedUnion("type", [
  helloMessage,
  z.strictObject({ type: z.literal("request"), request_id: requestId, command: remoteCommand }),
]);

const piece = { request_id: requestId, sha256, offset: bytes, total: bytes };
/** Header of a binary frame from the studio. Answered by {bytes, complete}. */
export const writeBlobHeader = z.strictObject({ type: z.literal("write_blob"), ...piece });
/** Header of a binary frame from the worker: the answer to read_blob. */
export const blobHeader = z.strictObject({ type: z.literal("blob"), ...piece });

export const workerDevice = z.strictObject({
  name: z.string().min(1),
  memory_bytes: bytes.nullable(),
});

export const workerInfo = z.strictObject({
  /** Of the data folder: the same worker after a restart. */
  worker_id: z.string().min(1).max(100),
  name: z.string().min(1).max(200),
  version: z.string(),
  python: z.string(),
  torch: z.string(),
  transformers: z.string(),
  peft: z.string(),
  trl: z.string(),
  /** GPUs; where there are none, the CPU. */
  devices: z.array(workerDevice),
  precision: z.array(precision),
  /** Empty where bitsandbytes or CUDA is missing. */
  quantization: z.array(quantization),
  data_free_bytes: bytes,
  max_upload_bytes: bytes,
  launchers: z.array(launcher),
  trackers: z.array(trackerName),
});

/** A device and what is used of it; null where nobody can tell. */
export const deviceUse = z.strictObject({
  name: z.string().min(1),
  memory_bytes: bytes.nullable(),
  memory_used_bytes: bytes.nullable(),
  utilization: share.nullable(),
});

export const workerStatus = z.strictObject({
  /** Milliseconds since the Unix epoch. */
  time: z.number(),
  /** Runs that wait, in the order in which their turn comes. */
  queue: z.array(remoteRunId),
  /** Runs that are worked on, and the devices they hold. */
  running: z.array(z.strictObject({ run_id: remoteRunId, devices: z.array(z.string()) })),
  devices: z.array(deviceUse),
  memory: z.strictObject({ total_bytes: bytes, used_bytes: bytes }),
  /** Of the data folder. */
  disk: z.strictObject({ total_bytes: bytes, free_bytes: bytes }),
  /** Share of all cores that is busy. */
  cpu: share.nullable(),
});

/** What makes a stage smaller; texts in the catalogues under `workers.advice`. */
export const preflightAdvice = z.enum([
  "quantize_8bit",
  "quantize_4bit",
  "gradient_checkpointing",
  "smaller_batch",
  "shorter_texts",
  "half_precision",
  "shard",
  "more_gpus",
  "use_lora",
]);

export const preflightResult = z.strictObject({
  fits: z.boolean(),
  /** A device. */
  needed_bytes: bytes,
  available_bytes: bytes.nullable(),
  parts: z.array(z.strictObject({ name: z.string().min(1), bytes })),
  advice: z.array(preflightAdvice),
});

/** As the worker lists it: where it runs is the studio's business. */
export const remoteRunRecord = runRecord.omit({ place: true });

const blobState = z.strictObject({
  /** How many have arrived: where an upload goes on. */
  bytes,
  /** All there and verified. */
  complete: z.boolean(),
});
const nothing = z.null();

/** What an answered command gives. */
export const commandResults = {
  status: workerStatus,
  list_runs: z.array(remoteRunRecord),
  start: remoteRunRecord,
  pause: nothing,
  resume: nothing,
  stop: nothing,
  checkpoint: nothing,
  delete: nothing,
  subscribe: z.strictObject({ last_seq: z.int().min(-1) }),
  unsubscribe: nothing,
  subscribe_status: nothing,
  stat_blob: blobState,
  write_blob: blobState,
  put_artefact: z.strictObject({ missing: z.array(sha256) }),
  get_artefact: artefactRecord,
  list_artefacts: z.array(artefactRecord),
  delete_artefact: nothing,
  preflight: preflightResult,
  logs: z.strictObject({ text: z.string(), offset: bytes }),
  forward: z.strictObject({ next_seq: z.int().min(0) }),
  join_code: z.strictObject({ relay: z.string().min(1), code: z.string().min(1) }),
};

export const workerMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("welcome"), schema_hash: sha256, worker: workerInfo }),
  z.strictObject({ type: z.literal("refused"), error: errorData }),
  z.discriminatedUnion("ok", [
    z.strictObject({
      type: z.literal("response"),
      request_id: requestId,
      ok: z.literal(true),
      /** By `commandResults`. */
      result: z.unknown(),
    }),
    z.strictObject({ type: z.literal("response"), request_id: requestId, ok: z.literal(false), error: errorData }),
  ]),
  /** Gapless, in order. */
  z.strictObject({ type: z.literal("events"), run_id: remoteRunId, events: z.array(runEvent).min(1) }),
  z.strictObject({ type: z.literal("status"), ...workerStatus.shape }),
]);

export type RemoteRunRecord = z.infer<typeof remoteRunRecord>;
export type RemoteData = z.infer<typeof remoteData>;
export type RemoteCommand = z.infer<typeof remoteCommand>;
export type StartCommand = z.infer<typeof startCommand>;
export type ClientMessage = z.infer<typeof clientMessage>;
export type WorkerMessage = z.infer<typeof workerMessage>;
export type WriteBlobHeader = z.infer<typeof writeBlobHeader>;
export type BlobHeader = z.infer<typeof blobHeader>;
export type ModelShape = z.infer<typeof modelShape>;
export type WorkerInfo = z.infer<typeof workerInfo>;
export type WorkerStatus = z.infer<typeof workerStatus>;
export type PreflightResult = z.infer<typeof preflightResult>;
export type PreflightAdvice = z.infer<typeof preflightAdvice>;
export type CommandName = RemoteCommand["name"];
export type CommandResult<N extends keyof typeof commandResults> = z.infer<(typeof commandResults)[N]>;

/** Everything that schema.json declares, by its name there. */
export const wireSchemas = {
  client_message: clientMessage,
  write_blob_header: writeBlobHeader,
  worker_message: workerMessage,
  blob_header: blobHeader,
  artefact_record: artefactRecord,
  artefact_manifest: artefactManifest,
  run_config: runConfig,
  stage_config: stageConfig,
  run_event: runEvent,
  run_record: remoteRunRecord,
  error_data: errorData,
  launch_config: launchConfig,
  status: workerStatus,
  ...Object.fromEntries(Object.entries(commandResults).map(([name, schema]) => [`result_${name}`, schema] as const)),
} satisfies Record<string, z.ZodType>;
