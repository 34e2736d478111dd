/**
 * What a stage of a run is given and what it gives back: the seam between the training code (this folder) and whoever
 * owns the run (train/session.ts in the browser, headless/run.ts on the command line). No DOM, no files, no messages.
 */
import type { ErrorData } from "../../../src/shared/errors";
import type { RunConfig } from "../../../src/shared/protocol/config";
import type { Metrics, RunEventBody } from "../../../src/shared/protocol/events";
import type { Gpu } from "../gpu/gpu";
import type { FileSource } from "../io/source";

/** A data file as it was read: `name` decides the format (.jsonl, .csv, .tsv) and appears in error messages. */
export interface DataFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Where a run keeps its checkpoints. */
export interface RunStorage {
  /**
   * Stores a checkpoint of `step`. The previous one must stay readable until the new one is complete.
   * Rejects with storage.quota, storage.unavailable or storage.busy.
   */
  saveCheckpoint(step: number, bytes: Uint8Array): Promise<void>;
  /** The newest complete checkpoint, or null before the first. */
  loadCheckpoint(): Promise<Uint8Array | null>;
}

/** Asked after every optimizer step; must be cheap. */
export interface Control {
  /** "pause" and "stop": finish the step at hand, checkpoint, return. */
  state(): "run" | "pause" | "stop";
  /** True once for each checkpoint somebody asked for. */
  takeCheckpointRequest?(): boolean;
}

export interface StageInput {
  readonly config: RunConfig;
  readonly gpu: Gpu;
  /** The base model: a Hugging Face checkpoint with its tokenizer.json. */
  readonly model: FileSource;
  readonly data: { readonly train: DataFile; readonly validation: DataFile; readonly test: DataFile | null };
  readonly storage: RunStorage;
  readonly control: Control;
  /** Receives state, prepared, log, eval, checkpoint, resumed, diverged and result events, in order. */
  readonly emit: (event: RunEventBody) => void;
  /** Milliseconds on a monotonic clock (performance.now). */
  readonly clock: () => number;
  /** Continue from the newest checkpoint; without one the run starts at step 0. */
  readonly resume: boolean;
}

/** How a stage ended. Its last `state` event said the same; `failed` is the only one with an error. */
export interface StageOutcome {
  readonly state: "finished" | "paused" | "stopped" | "failed";
  readonly error: ErrorData | null;
  /** Optimizer steps taken, resumed ones included. */
  readonly step: number;
  readonly total_steps: number;
  /** Step of the newest stored checkpoint, null if there is none. */
  readonly checkpoint_step: number | null;
  /** Seconds in this stage, earlier sessions of a resumed run included, pauses left out. */
  readonly seconds: number;
  /** Trained tokens per second of training (evaluation and checkpoints left out); 0 before the first step. */
  readonly tokens_per_second: number;
  /** The metrics of the `result` event; empty unless finished. */
  readonly metrics: Metrics;
}
