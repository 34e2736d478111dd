/**
 * One run while it is worked on: waits for its turn on the GPU, runs the stage, stores and publishes its events, keeps
 * its record. The backend makes one per start or resume; it ends with the run's next resting state.
 */
import { NagiError, toErrorData } from "../../src/shared/errors";
import { dataOf, pairsOf } from "../../src/shared/protocol/config";
import type { RunEvent, RunEventBody, RunState } from "../../src/shared/protocol/events";
import { parentsOf } from "../../src/shared/protocol/pipeline-inputs";
import { type RunRecord, stageOf } from "../../src/shared/protocol/run";
import type { RunLog } from "../engine/io/run-log";
import { type ModelShelf, openInputs } from "../engine/train/inputs";
import type { Control, DataFile, StageInput, StageOutcome } from "../engine/train/stage";
import type { ArtefactStore } from "./artefact-store";
import type { EventHub } from "./event-hub";
import type { Locks, Release } from "./locks";
import type { RemoteSide } from "./remote/side";
import type { RunFolder } from "./run-folder";
import type { Leftover, RunSession } from "./run-session";

/** One run at a time trains, over all tabs: two would halve each other's speed and double the memory. */
export const GPU_LOCK = "nagi/gpu";

export type StageWork = Omit<StageInput, "gpu">;

/** What a session needs from outside; tests put a scripted stage here. */
export interface SessionTools {
  readonly locks: Locks;
  readonly hub: EventHub;
  readonly shelf: ModelShelf;
  readonly artefacts: Pick<ArtefactStore, "save">;
  readonly data: (reference: string) => Promise<DataFile>;
  /** Opens a device, runs the stage on it, gives the device back. Rejects where there is no device. */
  readonly train: (input: StageWork) => Promise<StageOutcome>;
  /** Milliseconds on a monotonic clock. */
  readonly clock: () => number;
  /** null where no worker can be reached. */
  readonly remote: RemoteSide | null;
}

export class Session implements RunSession {
  /** Settles, without ever rejecting, when the run rests: finished, paused, stopped or failed. */
  readonly done: Promise<void>;
  #record: RunRecord;
  #wanted: "run" | "pause" | "stop" = "run";
  #checkpointAsked = false;
  readonly #checkpointWaiters: (() => void)[] = [];
  readonly #abort = new AbortController();
  #startedAt: number | null = null;
  readonly #secondsBefore: number;
  #leftover: Leftover | null = null;
  /** Ends when all saves of the record so far have. */
  #saving: Promise<void> = Promise.resolve();

  /**
   * @param log the run's log; the session closes it
   * @param release gives the run's own lock back
   */
  constructor(
    private readonly folder: RunFolder,
    record: RunRecord,
    private readonly log: RunLog,
    private readonly release: Release,
    private readonly tools: SessionTools,
    private readonly resuming: boolean,
  ) {
    this.#record = record;
    this.#secondsBefore = record.seconds;
    this.done = this.#run();
  }

  get record(): RunRecord {
    const { clock } = this.tools;
    const seconds = this.#startedAt === null ? 0 : (clock() - this.#startedAt) / 1000;
    return this.#startedAt === null ? this.#record : { ...this.#record, seconds: this.#secondsBefore + seconds };
  }

  /** After `done`: what the next session of this run must store. */
  get leftover(): Leftover | null {
    return this.#leftover;
  }

  /** Takes effect after the step at hand; a run that waits for the GPU leaves the queue. */
  async request(wanted: "pause" | "stop"): Promise<void> {
    // A stop is for good: a pause that arrives later does not undo it.
    if (this.#wanted !== "stop") this.#wanted = wanted;
    this.#abort.abort();
  }

  /** Resolves when the next checkpoint is stored or the session has ended. */
  requestCheckpoint(): Promise<void> {
    this.#checkpointAsked = true;
    return new Promise((resolve) => this.#checkpointWaiters.push(resolve));
  }

  async #run(): Promise<void> {
    try {
      this.#emit({ type: "state", state: "queued", error: null });
      const turn = await this.#turn();
      if (turn === null) this.#rest(this.#wanted === "stop" ? "stopped" : "paused", null);
      else await this.#train().finally(turn);
    } catch (error) {
      this.#rest("failed", toErrorData(error));
    } finally {
      await this.#close();
    }
  }

  /** The GPU lock, or null when pause or stop came first. */
  async #turn(): Promise<Release | null> {
    try {
      return await this.tools.locks.hold(GPU_LOCK, this.#abort.signal);
    } catch (error) {
      if (this.#abort.signal.aborted) return null;
      throw error;
    }
  }

  async #train(): Promise<void> {
    const { config, inputs } = this.#record;
    const { tools } = this;
    const stage = stageOf(this.#record);
    const models = await openInputs(config, stage, inputs, tools.shelf);
    const { train, validation, test } = dataOf(config, stage);
    const data = {
      train: await tools.data(train),
      validation: await tools.data(validation),
      test: test === null ? null : await tools.data(test),
    };
    const pairs = pairsOf(stage);
    this.#startedAt = tools.clock();
    const outcome = await tools.train({
      config,
      stage,
      ...models,
      data,
      pairs: pairs === null ? null : await tools.data(pairs),
      storage: this.folder.checkpoints,
      control: this.#control(),
      emit: (body) => this.#emit(body),
      clock: tools.clock,
      resume: this.resuming,
      saveArtefact: (kind, files) => this.#saveArtefact(kind, files),
    });
    this.#startedAt = null;
    this.#record = {
      ...this.#record,
      state: outcome.state,
      seconds: outcome.seconds,
      step: outcome.step,
      checkpoint_step: outcome.checkpoint_step,
      metrics: outcome.metrics,
    };
  }

  /** Before the stage says that it is finished, the record on the disk names what it made. */
  async #saveArtefact(...[kind, files]: Parameters<StageInput["saveArtefact"]>): Promise<void> {
    const { config, run_id, created, inputs } = this.#record;
    const stage = stageOf(this.#record);
    const parents = parentsOf(config, stage, inputs);
    // The run's time, not the clock's: what is saved again after a crash is the same artefact.
    const facts = { kind, name: `${config.name}/${stage.id}`, created, parents, run_id, stage, seed: config.seed };
    const { id } = await this.tools.artefacts.save(files, facts);
    this.#record = { ...this.#record, artefact: id };
    await this.#saving;
    await this.folder.saveRecord(this.record);
  }

  #control(): Control {
    return {
      // A log that cannot be written any more ends the run while its events still fit in memory.
      state: () => (this.log.error !== null && this.#wanted === "run" ? "pause" : this.#wanted),
      takeCheckpointRequest: () => {
        const asked = this.#checkpointAsked;
        this.#checkpointAsked = false;
        return asked;
      },
    };
  }

  #emit(body: RunEventBody): void {
    const event = this.log.append(body);
    this.#follow(event);
    this.tools.hub.publish(event);
  }

  #follow(event: RunEvent): void {
    switch (event.type) {
      case "state":
        this.#update({ state: event.state, error: event.error });
        break;
      case "prepared":
        this.#update({ adapter: event.adapter, total_steps: event.total_steps });
        break;
      case "log":
      case "eval":
        // Not written to disk with every step: after a crash the log says it.
        this.#record = { ...this.#record, step: event.step };
        break;
      case "resumed":
        this.#update({ step: event.step, metrics: {} });
        break;
      case "checkpoint":
        this.log.flush();
        this.#update({ checkpoint_step: event.step });
        for (const resolve of this.#checkpointWaiters.splice(0)) resolve();
        break;
      case "result":
        this.#update({ step: event.step, metrics: event.metrics });
        break;
      case "diverged":
      case "samples":
        break;
    }
  }

  #update(change: Partial<RunRecord>): void {
    this.#record = { ...this.#record, ...change };
    // In order, and never in the way of training: the log holds the same facts, so a failed save is made up for later.
    this.#saving = this.#saving.then(() => this.folder.saveRecord(this.record)).catch(() => undefined);
  }

  #rest(state: RunState, error: ReturnType<typeof toErrorData> | null): void {
    this.#emit({ type: "state", state, error });
  }

  async #close(): Promise<void> {
    try {
      await this.#saving;
      if (this.log.error !== null) {
        await this.folder.checkpoints.keepNewest();
        this.log.store();
      }
      await this.folder.saveRecord(this.record);
      if (this.log.error !== null) throw this.log.error;
    } catch (error) {
      console.error(`the end of run ${this.#record.run_id} is kept in memory until there is room`, error);
      this.#leftover = { record: this.record, lines: [...this.log.waiting] };
    } finally {
      this.log.close();
      for (const resolve of this.#checkpointWaiters.splice(0)) resolve();
      this.release();
    }
  }
}

/** run.bad_command {command, state}. */
export function badCommand(command: string, state: RunState, wayOut: string): NagiError {
  return new NagiError("run.bad_command", `A run that is ${state} cannot be told to ${command}. ${wayOut}`, {
    command,
    state,
  });
}
