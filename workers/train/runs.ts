/** All runs on this machine: commands in, sessions and resting runs out. */
import { NagiError, toErrorData } from "../../src/shared/errors";
import type { RunConfig } from "../../src/shared/protocol/config";
import type { RunEvent } from "../../src/shared/protocol/events";
import { inputsOf } from "../../src/shared/protocol/pipeline-inputs";
import type { RunRecord } from "../../src/shared/protocol/run";
import type { FreeBytes } from "../engine/io/checkpoint-shelf";
import type { Folder } from "../engine/io/opfs";
import { type Release, tryPatiently } from "./locks";
import { isWorking, recoverRun } from "./recovery";
import { RunFolder } from "./run-folder";
import { type Leftover, type RunSession, runLock } from "./run-session";
import { badCommand, Session, type SessionTools } from "./session";

export class Runs {
  readonly #sessions = new Map<string, RunSession>();
  /** Runs of other tabs. */
  readonly #watched = new Set<string>();
  /** Of runs whose end did not fit on the disk. */
  readonly #leftovers = new Map<string, Leftover>();
  /** Answers of `#listed` that are on their way, by run. */
  readonly #looking = new Map<string, Promise<RunRecord | null>>();

  /**
   * @param folder holds one folder a run
   * @param version of the studio, for the records
   */
  constructor(
    private readonly folder: Folder,
    private readonly tools: SessionTools,
    private readonly free: FreeBytes,
    readonly version: string,
  ) {}

  /** Newest first. Runs that died with their tab become paused here. */
  async list(): Promise<RunRecord[]> {
    const records: RunRecord[] = [];
    for (const entry of await this.folder.entries()) {
      const record = await this.#listed(entry.name);
      if (record !== null) records.push(record);
    }
    return records.sort((a, b) => b.created - a.created);
  }

  /** A run by itself, of a configuration with one stage. @throws config.invalid {file, path, problem, allowed} */
  async start(config: RunConfig): Promise<RunRecord> {
    const [stage, ...others] = config.stages;
    if (stage === undefined || others.length > 0) {
      const problem = `${config.stages.length} stages are a pipeline`;
      throw new NagiError("config.invalid", `${config.name}: stages: ${problem}. Open it as a pipeline.`, {
        file: config.name,
        path: "stages",
        problem,
        allowed: "one stage",
      });
    }
    const inputs = inputsOf(config, stage, () => undefined);
    return this.startStage({ run_id: newRunId(), config, stage: stage.id, pipeline_id: null, place: null, inputs });
  }

  /** Creates and starts a run; resolves once it is listed. */
  async startStage(
    what: Pick<RunRecord, "run_id" | "config" | "stage" | "pipeline_id" | "place" | "inputs">,
  ): Promise<RunRecord> {
    const record: RunRecord = {
      ...what,
      artefact: null,
      state: "queued",
      error: null,
      created: Date.now(),
      seconds: 0,
      step: 0,
      total_steps: 0,
      checkpoint_step: null,
      adapter: "",
      version: this.version,
      metrics: {},
    };
    // The lock first: another tab must not take the half-made folder for a dead run.
    const release = await this.#lock(record.run_id);
    try {
      const folder = await RunFolder.create(this.folder, record, this.free);
      await this.#begin(folder, record, release, false);
    } catch (error) {
      await this.folder.remove(record.run_id);
      release();
      throw error;
    }
    return record;
  }

  async pause(runId: string): Promise<void> {
    const session = await this.#working(runId, "pause");
    if (session === null) return;
    await session.request("pause");
    await session.done;
  }

  async resume(runId: string): Promise<void> {
    const session = await this.#session(runId);
    if (session !== undefined) throw badCommand("resume", session.record.state, "It is being worked on already.");
    await this.#resting(runId, async (folder, record, release) => {
      if (record.state !== "paused" && record.state !== "failed") {
        throw badCommand("resume", record.state, "Start a new run with the same settings.");
      }
      await this.#begin(folder, record, release, true);
      return "kept";
    });
  }

  async stop(runId: string): Promise<void> {
    const session = await this.#session(runId);
    if (session !== undefined) {
      await session.request("stop");
      await session.done;
      return;
    }
    if (await this.#toldElsewhere(runId, "stop")) return;
    await this.#resting(runId, async (folder, record) => {
      if (record.state !== "paused" && record.state !== "failed")
        throw badCommand("stop", record.state, "It has ended.");
      await this.tools.remote?.letGo(record);
      const log = await folder.openLog();
      try {
        const event = log.append({ type: "state", state: "stopped", error: null });
        if (log.error !== null) throw log.error;
        await folder.saveRecord({ ...record, state: "stopped", error: null });
        this.tools.hub.publish(event);
      } finally {
        log.close();
      }
      return "done";
    });
  }

  async checkpoint(runId: string): Promise<void> {
    await (await this.#working(runId, "checkpoint"))?.requestCheckpoint();
  }

  async delete(runId: string): Promise<void> {
    const session = await this.#session(runId);
    if (session !== undefined) throw badCommand("delete", session.record.state, "Stop it first.");
    const release = await this.#lock(runId);
    try {
      const record = await (await RunFolder.open(this.folder, runId, this.free)).findRecord();
      if (record !== null) await this.tools.remote?.letGo(record, "delete");
      await this.folder.remove(runId);
      this.#leftovers.delete(runId);
    } finally {
      release();
    }
  }

  /** Stored events, then live ones; resolves with a number for the hub's `unsubscribe`. */
  subscribe(runId: string, sinceSeq: number, listener: (events: readonly RunEvent[]) => void): Promise<number> {
    return this.tools.hub.subscribe(runId, sinceSeq, listener, async () => {
      const folder = await RunFolder.open(this.folder, runId, this.free);
      return folder.events();
    });
  }

  /** The stored events, one JSON object a line. @throws run.not_found */
  async eventLog(runId: string): Promise<string> {
    const folder = await RunFolder.open(this.folder, runId, this.free);
    return (await folder.events()).map((event) => `${JSON.stringify(event)}\n`).join("");
  }

  /** Runs that a data set or model is still needed for. */
  async unfinished(): Promise<Pick<RunRecord, "config" | "place">[]> {
    return (await this.list()).filter((run) => isWorking(run.state) || run.state === "paused");
  }

  /** The record as it is now. @throws run.not_found */
  async record(runId: string): Promise<RunRecord> {
    const live = this.#sessions.get(runId);
    if (live !== undefined) return live.record;
    const leftover = this.#leftovers.get(runId);
    if (leftover !== undefined) return leftover.record;
    return (await RunFolder.open(this.folder, runId, this.free)).record();
  }

  /** The record as `list` shows it, or null. */
  async find(runId: string): Promise<RunRecord | null> {
    const known = this.#sessions.has(runId) || this.#leftovers.has(runId) || (await this.folder.find(runId)) !== null;
    return known ? this.#listed(runId) : null;
  }

  /** What a run's process on a worker wrote. @throws run.not_found, run.bad_command, worker.* */
  async workerLog(runId: string, offset: number): Promise<{ text: string; offset: number }> {
    const record = await this.record(runId);
    if (record.place?.at === "worker" && this.tools.remote !== null) return this.tools.remote.log(record, offset);
    throw badCommand("log", record.state, "Only a run on a worker has a log of its process.");
  }

  /** Waits until nobody in this tab works on the run. @throws run.not_found */
  async rest(runId: string): Promise<RunRecord> {
    await this.#sessions.get(runId)?.done;
    return this.record(runId);
  }

  /** Bytes of the newest checkpoint. @throws run.not_found, run.no_checkpoint {run_id}, storage.corrupt */
  async newestCheckpoint(runId: string): Promise<{ step: number; bytes: Uint8Array }> {
    const folder = await RunFolder.open(this.folder, runId, this.free);
    const newest = await folder.checkpoints.newest();
    if (newest !== null) return newest;
    throw new NagiError(
      "run.no_checkpoint",
      "This run has no checkpoint yet: let it train up to the first one, or pause it.",
      {
        run_id: runId,
      },
    );
  }

  async sizes(): Promise<{ run_id: string; bytes: number }[]> {
    const sizes: { run_id: string; bytes: number }[] = [];
    for (const entry of await this.folder.entries()) {
      sizes.push({ run_id: entry.name, bytes: (await (await this.folder.find(entry.name))?.bytes()) ?? 0 });
    }
    return sizes;
  }

  /** Asked several times at once, it looks once: whoever finds the lock held by the recovery would call the run alive. */
  #listed(runId: string): Promise<RunRecord | null> {
    const asked = this.#looking.get(runId);
    if (asked !== undefined) return asked;
    const looking = this.#look(runId).finally(() => this.#looking.delete(runId));
    this.#looking.set(runId, looking);
    return looking;
  }

  async #look(runId: string): Promise<RunRecord | null> {
    const live = this.#sessions.get(runId);
    if (live !== undefined) return live.record;
    const leftover = this.#leftovers.get(runId);
    if (leftover !== undefined) return leftover.record;
    const folder = await RunFolder.open(this.folder, runId, this.free);
    const record = await folder.findRecord();
    if (record !== null && !isWorking(record.state)) return record;
    const release = await this.tools.locks.tryHold(runLock(runId));
    if (release === null) {
      this.#watch(runId);
      return record;
    }
    let kept = false;
    try {
      if (record === null) {
        // A record that this version cannot read stays where it is, with its checkpoints.
        if (await folder.isEmpty()) await this.folder.remove(runId);
        return null;
      }
      if (record.place?.at === "worker" && this.tools.remote !== null) {
        // It went on without this browser: followed again, nothing is left out.
        await this.#begin(folder, record, release, false);
        kept = true;
        return this.#sessions.get(runId)?.record ?? record;
      }
      return await this.#recover(folder, record);
    } catch (error) {
      // A full disk must not hide the run; it is recovered once there is room.
      console.error(`the run ${runId} could not be recovered`, error);
      return record === null ? null : { ...record, state: "paused", error: toErrorData(error) };
    } finally {
      if (!kept) release();
    }
  }

  async #storeLeftover(folder: RunFolder, runId: string): Promise<RunRecord | null> {
    const leftover = this.#leftovers.get(runId);
    if (leftover === undefined) return null;
    const log = await folder.openLog();
    try {
      log.takeOver(leftover.lines);
      this.#leftovers.set(runId, { record: leftover.record, lines: [...log.waiting] });
      if (log.error !== null) throw log.error;
    } finally {
      log.close();
    }
    await folder.saveRecord(leftover.record);
    this.#leftovers.delete(runId);
    return leftover.record;
  }

  /** Another tab works on the run: when that tab lets go of it, dead or done, its last state is made known here. */
  #watch(runId: string): void {
    if (this.#watched.has(runId)) return;
    this.#watched.add(runId);
    void this.tools.locks
      .hold(runLock(runId), new AbortController().signal)
      .then(async (release) => {
        this.#watched.delete(runId);
        release();
        await this.#listed(runId);
      })
      .catch((error: unknown) => console.error(`the run ${runId} is no longer watched`, error));
  }

  async #recover(folder: RunFolder, stored: RunRecord): Promise<RunRecord> {
    const { record, event } = await recoverRun(folder, stored);
    if (event !== null) this.tools.hub.publish(event);
    return record;
  }

  async #begin(folder: RunFolder, record: RunRecord, release: Release, resuming: boolean): Promise<void> {
    const log = await folder.openLog();
    const { remote } = this.tools;
    const session =
      record.place?.at === "worker" && remote !== null
        ? remote.session(folder, record, log, release, resuming)
        : new Session(folder, record, log, release, this.tools, resuming);
    remote?.forward(record, folder, session.done);
    this.#sessions.set(record.run_id, session);
    void session.done.then(() => {
      this.#sessions.delete(record.run_id);
      if (session.leftover !== null) this.#leftovers.set(record.run_id, session.leftover);
    });
  }

  /** The session that works on the run; one whose last state is out already is waited for. */
  async #session(runId: string): Promise<RunSession | undefined> {
    const session = this.#sessions.get(runId) ?? (await this.#attached(runId));
    if (session === undefined || isWorking(session.record.state)) return session;
    await session.done;
    return undefined;
  }

  /** A run that goes on on a worker is followed before it is told anything. */
  async #attached(runId: string): Promise<RunSession | undefined> {
    const record = await (await RunFolder.open(this.folder, runId, this.free)).findRecord();
    if (record?.place?.at === "worker" && isWorking(record.state)) await this.#listed(runId);
    return this.#sessions.get(runId);
  }

  /** null where another tab follows a run on a worker, which was told. */
  async #working(runId: string, command: "pause" | "checkpoint"): Promise<RunSession | null> {
    const session = await this.#session(runId);
    if (session !== undefined) return session;
    if (await this.#toldElsewhere(runId, command)) return null;
    const release = await this.#lock(runId);
    release();
    const record = await this.record(runId);
    throw badCommand(command, record.state, "Only a run that is worked on can.");
  }

  /** A run on a worker that another tab follows is told without that tab, which sees what comes of it. */
  async #toldElsewhere(runId: string, command: "pause" | "stop" | "checkpoint"): Promise<boolean> {
    const record = await this.find(runId);
    if (record?.place?.at !== "worker" || !isWorking(record.state) || this.#sessions.has(runId)) return false;
    await this.tools.remote?.tell(record, command);
    return true;
  }

  /** Does something to a run nobody works on, its lock held; the action says whether the lock went on to a session. */
  async #resting(
    runId: string,
    action: (folder: RunFolder, record: RunRecord, release: Release) => Promise<"kept" | "done">,
  ): Promise<void> {
    const release = await this.#lock(runId);
    let kept = false;
    try {
      const folder = await RunFolder.open(this.folder, runId, this.free);
      const stored = (await this.#storeLeftover(folder, runId)) ?? (await folder.record());
      const dead = isWorking(stored.state) && stored.place?.at !== "worker";
      const record = dead ? await this.#recover(folder, stored) : stored;
      kept = (await action(folder, record, release)) === "kept";
    } finally {
      if (!kept) release();
    }
  }

  async #lock(runId: string): Promise<Release> {
    const release = await tryPatiently(this.tools.locks, runLock(runId));
    if (release !== null) return release;
    throw new NagiError(
      "storage.busy",
      `The run ${runId} is being worked on in another tab. Go on there, or close that tab first.`,
      {
        what: "run",
        name: runId,
      },
    );
  }
}

/** Sorts by time, unique across tabs: of a run or of a pipeline. */
export function newRunId(): string {
  const stamp = new Date().toISOString().replace(/\D/g, "").slice(0, 14);
  const random = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  return `${stamp}-${random.toString(16).padStart(8, "0")}`;
}
