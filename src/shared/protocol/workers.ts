/** Remote workers as the studio shows them. Tokens never leave the training worker. */
import { z } from "zod";
import type { ErrorData } from "../errors";
import type { RunConfig } from "./config";
import type { LaunchConfig } from "./launch";
import type { PreflightResult, WorkerInfo, WorkerStatus } from "./remote";

/**
 * How a worker is reached: directly by URL and token, or through a relay by the pairing code that the worker shows
 * ("K7QF-XXXX-XXXX": the part before the first dash names the worker, the rest is its token).
 */
export const workerAddress = z.discriminatedUnion("via", [
  z.strictObject({ via: z.literal("direct"), url: z.string().min(1).max(1000), token: z.string().min(1).max(300) }),
  z.strictObject({ via: z.literal("relay"), url: z.string().min(1).max(1000), code: z.string().min(3).max(300) }),
]);
export type WorkerAddress = z.infer<typeof workerAddress>;

/**
 * idle: nobody needs it now. waiting: it did not answer and is tried again. refused: it answered, and does not take this
 * studio (token, version).
 */
export type WorkerState = "idle" | "connecting" | "connected" | "waiting" | "refused";

/** Bytes on their way. */
export interface Transfer {
  readonly direction: "up" | "down";
  /** Of what is sent: an artefact's or a file's name. */
  readonly name: string;
  /** The run it is for; null where a person asked for it. */
  readonly run_id: string | null;
  readonly done: number;
  readonly total: number;
}

export interface RemoteWorkerRecord {
  /** The worker's own id: it stays when the address changes. */
  readonly id: string;
  readonly name: string;
  readonly via: WorkerAddress["via"];
  readonly url: string;
  readonly state: WorkerState;
  /** Why it is waiting or refused. */
  readonly error: ErrorData | null;
  /** As of the last connection; null before the first of this tab. */
  readonly info: WorkerInfo | null;
  /** null while not connected. */
  readonly status: WorkerStatus | null;
  readonly transfers: readonly Transfer[];
}

export interface PreflightRequest {
  readonly worker: string;
  readonly config: RunConfig;
  readonly stage: string;
  readonly launch: LaunchConfig;
}

export interface WorkersBackend {
  /** In the order they were added. Whoever lists keeps them connected for a minute. */
  listWorkers(): Promise<RemoteWorkerRecord[]>;
  /** Connects, then keeps the address; one that is known gets the new address. Errors: worker.*, relay.*, storage.*. */
  addWorker(address: WorkerAddress): Promise<RemoteWorkerRecord>;
  /** Forgets address and token. Errors: storage.busy {what, name} while an unfinished run is there. */
  removeWorker(id: string): Promise<void>;
  /** What a stage needs there. Errors: worker.*. */
  preflight(request: PreflightRequest): Promise<PreflightResult>;
  /** What a run's process wrote, from byte `offset` on. Errors: run.*, worker.*. */
  workerLog(runId: string, offset: number): Promise<{ readonly text: string; readonly offset: number }>;
  /** Artefacts whose files are not here, by id: the worker that has them. */
  artefactPlaces(): Promise<Readonly<Record<string, string>>>;
  /** Fetches the files. Errors: artefact.elsewhere, storage.*, worker.*. */
  pullArtefact(id: string): Promise<void>;
}
