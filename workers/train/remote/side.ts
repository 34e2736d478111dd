/** What runs need of workers: sessions that mirror, words to a run that another tab follows, trackers for runs of here. */
import type { RunRecord } from "../../../src/shared/protocol/run";
import type { RunLog } from "../../engine/io/run-log";
import type { EventHub } from "../event-hub";
import type { Release } from "../locks";
import type { RunFolder } from "../run-folder";
import type { RunSession } from "../run-session";
import { forwardEvents } from "./forward";
import type { InputTools } from "./inputs";
import type { Remotes } from "./remotes";
import type { Results } from "./results";
import { RemoteSession } from "./session";

export class RemoteSide {
  constructor(
    private readonly remotes: Remotes,
    private readonly hub: EventHub,
    private readonly inputs: InputTools,
    private readonly results: Results,
  ) {}

  session(folder: RunFolder, record: RunRecord, log: RunLog, release: Release, resuming: boolean): RunSession {
    const { hub, inputs, results } = this;
    const findWorker = (id: string) => this.remotes.find(id);
    return new RemoteSession(folder, record, log, release, { hub, inputs, results, findWorker }, resuming);
  }

  /** A command to a run that another tab follows. @throws worker.*, run.* */
  async tell(record: RunRecord, name: "pause" | "stop" | "checkpoint"): Promise<void> {
    await this.remotes.get(record.place?.worker ?? "").ask<typeof name>({ name, run_id: record.run_id });
  }

  /** Ends or removes the run on its worker as well, as far as that can be reached. */
  async letGo(record: RunRecord, name: "stop" | "delete" = "stop"): Promise<void> {
    const worker = record.place?.at === "worker" ? this.remotes.find(record.place.worker) : null;
    try {
      await worker?.ask<typeof name>({ name, run_id: record.run_id });
    } catch (error) {
      console.warn(`the run ${record.run_id} may still be on its worker`, error);
    }
  }

  /** What the run's process wrote, from byte `offset` on. @throws worker.*, run.* */
  log(record: RunRecord, offset: number): Promise<{ text: string; offset: number }> {
    const { run_id, place } = record;
    return this.remotes.get(place?.worker ?? "").ask<"logs">({ name: "logs", run_id, offset });
  }

  /** Sends a run of this browser to a worker's trackers until `done`, where the run asks for it. */
  forward(record: RunRecord, folder: RunFolder, done: Promise<void>): void {
    const { place } = record;
    const worker = place?.at === "browser" ? this.remotes.find(place.worker) : null;
    if (place?.at !== "browser" || worker === null) return;
    void forwardEvents(worker, record.run_id, place.tracking, () => folder.events(), done);
  }
}
