/** A run while somebody in this tab works on it: a stage on this browser's GPU, or the mirror of one on a worker. */
import type { RunRecord } from "../../src/shared/protocol/run";

/** What did not fit on the disk any more when a session ended. */
export interface Leftover {
  readonly record: RunRecord;
  readonly lines: readonly Uint8Array<ArrayBuffer>[];
}

export interface RunSession {
  readonly record: RunRecord;
  /** Settles, without ever rejecting, when the run rests: finished, paused, stopped or failed. */
  readonly done: Promise<void>;
  /** After `done`: what the next session of this run must store. */
  readonly leftover: Leftover | null;
  /** Takes effect after the step at hand; resolves once it is passed on. @throws worker.* where a worker cannot be told */
  request(wanted: "pause" | "stop"): Promise<void>;
  /** Resolves when the next checkpoint is stored or the session has ended. @throws worker.* */
  requestCheckpoint(): Promise<void>;
}

/** @see docs/storage.md: who holds it works on the run */
export const runLock = (runId: string): string => `nagi/run/${runId}`;
