/**
 * What the training worker exposes over comlink: the studio's backend, with plain numbers where the interface hands out
 * functions, since a function does not cross a worker boundary by itself.
 */
import type { RunEvent } from "./events";
import type { StudioBackend } from "./library";

export interface WorkerApi extends Omit<StudioBackend, "events"> {
  /** First call of all. @param base where the page's public files lie, ending in "/" */
  connect(base: string): Promise<void>;
  /** As TrainBackend.events; resolves with a number for `unsubscribe` once the stored events were sent. */
  subscribe(runId: string, sinceSeq: number, listener: (events: readonly RunEvent[]) => void): Promise<number>;
  unsubscribe(subscription: number): Promise<void>;
}
