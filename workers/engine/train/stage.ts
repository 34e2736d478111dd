/**
 * What a stage of a run is given and what it gives back: the seam between the training code (this folder) and whoever
 * owns the run (train/session.ts in the browser, headless/run.ts on the command line). No DOM, no files, no messages.
 */
import type { ErrorData } from "../../../src/shared/errors";
import type { ArtefactKind } from "../../../src/shared/protocol/artefact";
import type { RunConfig, StageConfig } from "../../../src/shared/protocol/config";
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
  /** Bytes that are still granted, null where nobody says. Absent: as much as it takes. */
  free?(): Promise<number | null>;
}

/** Asked after every optimizer step; must be cheap. */
export interface Control {
  /** "pause" and "stop": finish the step at hand, checkpoint, return. */
  state(): "run" | "pause" | "stop";
  /** True once for each checkpoint somebody asked for. */
  takeCheckpointRequest?(): boolean;
}

/** A model as a slot names it: a Hugging Face checkpoint with its tokenizer.json, and an adapter trained on it. */
export interface StageModel {
  /** The slot's value: "base", a stage's id, `artefact:SHA256`. */
  readonly name: string;
  readonly model: FileSource;
  readonly adapter: FileSource | null;
}

export interface StageInput<S extends StageConfig = StageConfig> {
  readonly config: RunConfig;
  /** The one to run. */
  readonly stage: S;
  readonly gpu: Gpu;
  /**
   * What the stage's `model` slot names (merge: what its adapter was trained on; evaluate: the run's base): a Hugging
   * Face checkpoint with its tokenizer.json.
   */
  readonly model: FileSource;
  /** Where that is an adapter (merge: the one to fold in), `model` is what it was trained on. */
  readonly adapter: FileSource | null;
  /** In the order of the stage's slots. */
  readonly reward_models: readonly FileSource[];
  /** Evaluate: in the order of the stage's `models`. */
  readonly models: readonly StageModel[];
  /** Those of `dataOf`. */
  readonly data: { readonly train: DataFile; readonly validation: DataFile; readonly test: DataFile | null };
  /** What the stage's `pairs` names. */
  readonly pairs: DataFile | null;
  readonly storage: RunStorage;
  readonly control: Control;
  /** Receives every type of event, in order. */
  readonly emit: (event: RunEventBody) => void;
  /** Milliseconds on a monotonic clock (performance.now). */
  readonly clock: () => number;
  /** Continue from the newest checkpoint; without one the run starts at step 0. */
  readonly resume: boolean;
  /**
   * Stores what the stage made, by path; called once, after the last checkpoint and before the `result` event. Rejects
   * with storage.quota, storage.unavailable or storage.busy.
   */
  readonly saveArtefact: (kind: ArtefactKind, files: ReadonlyMap<string, Uint8Array>) => Promise<void>;
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
