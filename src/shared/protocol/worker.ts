/**
 * What the training worker exposes over comlink: the studio's backend, with plain numbers where the interface hands out
 * functions, since a function does not cross a worker boundary by itself.
 */
import type { RunEvent } from "./events";
import type { StudioBackend, StudioChange } from "./library";

export interface WorkerApi extends Omit<StudioBackend, "events" | "changes"> {
  /** First call of all. @param base where the page's public files lie, ending in "/" */
  connect(base: string): Promise<void>;
  /** As TrainBackend.events; resolves with a number for `unsubscribe` once the stored events were sent. */
  subscribe(runId: string, sinceSeq: number, listener: (events: readonly RunEvent[]) => void): Promise<number>;
  unsubscribe(subscription: number): Promise<void>;
  /** As StudioBackend.changes; there is no end to it but the worker's. */
  watch(listener: (change: StudioChange) => void): Promise<void>;
}
