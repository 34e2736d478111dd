/**
 * A run on a worker, mirrored into this browser's own log: its events are stored and published here as if the stage ran
 * here, each once and in order, whatever happens to the network or the tab. The worker's event k is the log's line
 * `offset` + k; the lines before are this session's own (waiting, sending what the stage takes in). So the log itself says
 * which event to ask for next.
 */
import { z } from "zod";
import { NagiError, toErrorData } from "../../../src/shared/errors";
import type { RunEvent, RunEventBody } from "../../../src/shared/protocol/events";
import { parentsOf } from "../../../src/shared/protocol/pipeline-inputs";
import { type RunRecord, stageOf } from "../../../src/shared/protocol/run";
import type { RunLog } from "../../engine/io/run-log";
import type { EventHub } from "../event-hub";
import { followEvents, isWorking, lastState } from "../recovery";
import type { RunFolder } from "../run-folder";
import type { RunSession } from "../run-session";
import { type InputTools, pushInputs } from "./inputs";
import type { Link } from "./link";
import { fetchResult, type Results } from "./results";
import { type RemoteWorker, unknownWorker } from "./worker";

/** Kept beside run.json. */
export const mirrorState = z.strictObject({
  /** Line of the log that the worker's first event is; null while the worker does not know the run. */
  offset: z.int().min(0).nullable(),
});

export interface RemoteSessionTools {
  readonly hub: EventHub;
  readonly inputs: InputTools;
  readonly results: Results;
  /** The worker of that id, null where this browser does not know it. */
  readonly findWorker: (id: string) => RemoteWorker | null;
}

class Rest extends Error {}

export class RemoteSession implements RunSession {
  readonly done: Promise<void>;
  readonly leftover = null;
  #record: RunRecord;
  /** Ends waiting and sending before the stage has begun on the worker. */
  readonly #abort = new AbortController();
  #wanted: "run" | "pause" | "stop" = "run";
  #begun = false;
  readonly #checkpointWaiters: (() => void)[] = [];
  /** Milliseconds since the epoch at which the worker began to train; null while it does not. */
  #since: number | null = null;
  #saving: Promise<void> = Promise.resolve();
  readonly #worker: RemoteWorker | null;

  /**
   * @param log the run's log; the session closes it
   * @param release gives the run's own lock back
   * @param resuming a person wants a paused or failed run to go on; otherwise it is only looked after
   */
  constructor(
    private readonly folder: RunFolder,
    record: RunRecord,
    private readonly log: RunLog,
    private readonly release: () => void,
    private readonly tools: RemoteSessionTools,
    private readonly resuming: boolean,
  ) {
    const { place } = record;
    const state = resuming ? "queued" : (lastState(log.stored)?.state ?? record.state);
    this.#record = { ...followEvents(record, log.stored), state, seconds: 0, error: null };
    this.#worker = place?.at === "worker" ? tools.findWorker(place.worker) : null;
    for (const event of log.stored) this.#count(event);
    this.done = this.#run();
  }

  get record(): RunRecord {
    if (this.#since === null) return this.#record;
    return { ...this.#record, seconds: this.#record.seconds + Math.max(0, Date.now() - this.#since) / 1000 };
  }

  async request(wanted: "pause" | "stop"): Promise<void> {
    if (this.#wanted !== "stop") this.#wanted = wanted;
    if (this.#begun) await this.#tell(wanted);
    else this.#abort.abort(new Rest());
  }

  async requestCheckpoint(): Promise<void> {
    const stored = new Promise<void>((resolve) => this.#checkpointWaiters.push(resolve));
    if (this.#begun) await this.#tell("checkpoint");
    await stored;
  }

  async #tell(name: "pause" | "stop" | "checkpoint" | "resume"): Promise<void> {
    try {
      await this.#worker?.ask<typeof name>({ name, run_id: this.#record.run_id });
    } catch (error) {
      // It has come to rest by itself meanwhile; its events say how.
      if (!(error instanceof NagiError) || error.code !== "run.bad_command") throw error;
    }
  }

  async #run(): Promise<void> {
    const worker = this.#worker;
    const letGo = worker?.hold();
    try {
      const stored = (await this.folder.readMirror(mirrorState))?.offset ?? null;
      this.#begun = stored !== null;
      if (worker === null) throw unknownWorker(this.#placeName());
      const known = stored !== null && (await this.#isKnown(worker));
      await this.#mirror(worker, known ? stored : await this.#begin(worker, stored !== null));
    } catch (error) {
      await this.#end(error);
    } finally {
      letGo?.();
      await this.#close();
    }
  }

  /** Whether the worker has the run; told to go on with it where that is wanted. Waits for the worker. */
  async #isKnown(worker: RemoteWorker): Promise<boolean> {
    const { run_id } = this.#record;
    const runs = await worker.ask<"list_runs">({ name: "list_runs" }, { patient: true });
    const run = runs.find((one) => one.run_id === run_id);
    if (run !== undefined && this.resuming && !isWorking(run.state) && run.state !== "finished")
      await worker.ask<"resume">({ name: "resume", run_id }, { patient: true });
    this.#begun = run !== undefined;
    return run !== undefined;
  }

  /** Sends what the stage takes in and starts it. @returns the offset */
  async #begin(worker: RemoteWorker, forgotten: boolean): Promise<number> {
    const { signal } = this.#abort;
    const { run_id, config, stage: stageId, inputs, place } = this.#record;
    const stage = stageOf(this.#record);
    this.#emit({ type: "state", state: "queued", error: null });
    // The worker's folder is another one: what it runs now begins at step 0.
    if (forgotten) this.#emit({ type: "resumed", step: 0 });
    await worker.link({ patient: true, signal });
    this.#emit({ type: "state", state: "preparing", error: null });
    const pushed = await pushInputs(worker, this.#record, this.tools.inputs, { signal, runId: run_id });
    signal.throwIfAborted();
    if (place?.at !== "worker") throw unknownWorker(this.#placeName());
    if (this.log.error !== null) throw this.log.error;
    const offset = this.log.length;
    // First the note, then the run: from here on every line of the log is the worker's.
    await this.folder.saveMirror({ offset });
    this.#begun = true;
    try {
      const { launch } = place;
      const parents = parentsOf(config, stage, inputs);
      const artefact_name = `${config.name}/${stageId}`;
      const about = { run_id, config, stage: stageId, launch, parents, artefact_name };
      await worker.ask<"start">({ name: "start", ...about, ...pushed }, { patient: true });
    } catch (error) {
      this.#begun = false;
      await this.folder.saveMirror({ offset: null });
      throw error;
    }
    // Asked for while it was being started.
    if (this.#wanted !== "run") await this.#tell(this.#wanted);
    return offset;
  }

  /** Follows the run until it rests. */
  async #mirror(worker: RemoteWorker, offset: number): Promise<void> {
    await worker.overLinks((link) => this.#follow(worker, link, offset), { patient: true });
  }

  /** Over one connection. Resolves when the run rests. @throws LinkLost */
  async #follow(worker: RemoteWorker, link: Link, offset: number): Promise<void> {
    const { run_id } = this.#record;
    const waiting: RunEvent[] = [];
    let wake: () => void = () => undefined;
    const receive = (events: readonly RunEvent[]) => {
      waiting.push(...events);
      wake();
    };
    try {
      const { last_seq } = await link.subscribe(run_id, this.log.length - offset, receive);
      const all = () => this.log.length - offset > last_seq;
      let gone: Error | null = null;
      void link.gone.then((error) => {
        gone = error;
        wake();
      });
      while (!(all() && !isWorking(this.#record.state))) {
        const event = waiting.shift();
        if (event !== undefined) await this.#take(worker, event, offset);
        else if (gone !== null) throw gone;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (waiting.length > 0 || gone !== null) resolve();
          });
      }
    } finally {
      link.unsubscribe(run_id);
    }
  }

  /** An event of the worker becomes the log's next line, unless it is there already. */
  async #take(worker: RemoteWorker, event: RunEvent, offset: number): Promise<void> {
    const seq = event.seq + offset;
    if (seq < this.log.length) return;
    if (seq > this.log.length) {
      const problem = `event ${event.seq} came where ${this.log.length - offset} was next`;
      throw new NagiError("worker.bad_message", `The worker left out events: ${problem}. Resume the run.`, { problem });
    }
    // Whoever reads "finished" finds what was made.
    if (event.type === "state" && event.state === "finished") await this.#takeResult(worker);
    const mirrored = this.log.mirror({ ...event, seq });
    if (this.log.error !== null) throw this.log.error;
    this.#note(mirrored);
    this.tools.hub.publish(mirrored);
  }

  async #takeResult(worker: RemoteWorker): Promise<void> {
    const artefact = await fetchResult(worker, this.#record.run_id, this.tools.results);
    this.#record = { ...this.#record, artefact };
    await this.#saving;
    await this.folder.saveRecord(this.record);
  }

  /** An event of this session's own, before the worker knows the run. */
  #emit(body: RunEventBody): void {
    const event = this.log.append(body);
    this.#note(event);
    this.tools.hub.publish(event);
  }

  async #end(error: unknown): Promise<void> {
    const rests = this.#abort.signal.aborted;
    const data = rests ? null : toErrorData(error);
    const state = rests ? (this.#wanted === "stop" ? "stopped" : "paused") : "failed";
    if (!this.#begun && this.log.error === null) this.#emit({ type: "state", state, error: data });
    // The worker goes on by itself, and the log is its log: only the list says that nobody follows it here.
    else this.#record = { ...this.#record, state: "paused", error: data };
  }

  #note(event: RunEvent): void {
    this.#count(event);
    this.#record = followEvents(this.#record, [event]);
    if (event.type === "state") this.#record = { ...this.#record, state: event.state, error: event.error };
    if (event.type === "resumed") this.#record = { ...this.#record, metrics: {} };
    if (event.type === "checkpoint") {
      this.log.flush();
      for (const resolve of this.#checkpointWaiters.splice(0)) resolve();
    }
    // Not written to disk with every step: after a crash the log says it.
    if (event.type !== "log" && event.type !== "eval") this.#save();
  }

  /** Seconds of training, by the worker's clock. */
  #count(event: RunEvent): void {
    if (event.type !== "state") return;
    if (this.#since !== null) {
      const seconds = this.#record.seconds + Math.max(0, event.time - this.#since) / 1000;
      this.#record = { ...this.#record, seconds };
    }
    this.#since = event.state === "running" ? event.time : null;
  }

  #save(): void {
    this.#saving = this.#saving.then(() => this.folder.saveRecord(this.record)).catch(() => undefined);
  }

  async #close(): Promise<void> {
    this.#since = null;
    try {
      await this.#saving;
      await this.folder.saveRecord(this.record);
    } catch (error) {
      // Nothing is lost: the worker has it all, and the log says how much of it is here.
      console.error(`the run ${this.#record.run_id} is not up to date on the disk`, error);
    } finally {
      this.log.close();
      for (const resolve of this.#checkpointWaiters.splice(0)) resolve();
      this.release();
    }
  }

  #placeName(): string {
    return this.#record.place?.worker ?? "";
  }
}
