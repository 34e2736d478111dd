/**
 * For the unit tests of this folder: a worker in this process, as far as the wire shows one, with a stage of sixty steps.
 * What carries its frames is the test's.
 */
import { NagiError } from "../../../src/shared/errors";
import { type ArtefactRecord, describeArtefact, hashBytes } from "../../../src/shared/protocol/artefact";
import type { RunEvent, RunEventBody } from "../../../src/shared/protocol/events";
import { outputOf } from "../../../src/shared/protocol/pipeline-slots";
import {
  type ClientMessage,
  clientMessage,
  type RemoteCommand,
  type RemoteRunRecord,
  type StartCommand,
  type WorkerInfo,
  type WorkerMessage,
  type WorkerStatus,
  workerMessage,
  writeBlobHeader,
} from "../../../src/shared/protocol/remote";
import { REMOTE_SCHEMA_HASH } from "../../../src/shared/protocol/remote-hash";
import { encodeFrame, splitFrame } from "./frames";
import type { Dial } from "./wire";

export const TOKEN = "right";
/** Steps a stage takes, unless a test wants more. */
export const STEPS = 60;

const WORKER_INFO: WorkerInfo = {
  worker_id: "w",
  name: "box",
  version: "1",
  python: "3.12",
  torch: "2",
  transformers: "5",
  peft: "0",
  trl: "1",
  devices: [{ name: "cpu", memory_bytes: null }],
  precision: ["float32"],
  quantization: [],
  data_free_bytes: 1e9,
  max_upload_bytes: 1e9,
  launchers: ["local"],
  trackers: [],
};

const WORKER_STATUS: WorkerStatus = {
  time: 0,
  queue: [],
  running: [],
  devices: [],
  memory: { total_bytes: 1, used_bytes: 0 },
  disk: { total_bytes: 1, free_bytes: 1 },
  cpu: 0,
};

/** The other end of a connection. */
export interface Peer {
  send(frame: string | Uint8Array): void;
  close(code: number): void;
}

export interface WorkerRun {
  readonly record: RemoteRunRecord;
  readonly events: RunEvent[];
  readonly start: StartCommand;
  wanted: "run" | "pause" | "stop";
  step: number;
}

export class ScriptedWorker {
  readonly runs = new Map<string, WorkerRun>();
  readonly blobs = new Map<string, { bytes: Uint8Array; total: number }>();
  readonly artefacts = new Map<string, ArtefactRecord>();
  readonly starts: StartCommand[] = [];
  steps = STEPS;
  /** Stages stop before this step until it is raised. */
  gate = Number.POSITIVE_INFINITY;
  /** What the stages make. */
  made = new Uint8Array(2_500_000).fill(7);
  /** null: what such a stage makes. */
  kind: ArtefactRecord["kind"] | null = null;
  written = 0;
  readonly #peers = new Map<Peer, Map<string, number>>();

  /** A connection; the returned functions are to be told of what arrives and of its end. */
  connect(peer: Peer): { readonly received: (frame: string | Uint8Array) => void; readonly closed: () => void } {
    this.#peers.set(peer, new Map());
    return {
      closed: () => void this.#peers.delete(peer),
      received: (frame) => {
        if (typeof frame === "string") void this.#answer(peer, clientMessage.parse(JSON.parse(frame)));
        else this.#write(peer, frame);
      },
    };
  }

  /** Drops everything, as after a lost data folder. */
  forget(): void {
    for (const run of this.runs.values()) run.wanted = "stop";
    this.runs.clear();
  }

  #say(peer: Peer, message: WorkerMessage): void {
    peer.send(JSON.stringify(workerMessage.parse(message)));
  }

  #write(peer: Peer, frame: Uint8Array): void {
    const { header, bytes } = splitFrame(frame);
    const { request_id, sha256, offset, total } = writeBlobHeader.parse(header);
    const before = this.blobs.get(sha256)?.bytes ?? new Uint8Array();
    // Another connection of the same studio may still have had pieces on their way.
    const joined = new Uint8Array(offset + bytes.length);
    joined.set(before.subarray(0, offset));
    joined.set(bytes, offset);
    this.written += bytes.length;
    this.blobs.set(sha256, { bytes: joined, total });
    const result = { bytes: joined.length, complete: joined.length === total };
    this.#say(peer, { type: "response", request_id, ok: true, result });
  }

  async #answer(peer: Peer, message: ClientMessage): Promise<void> {
    if (message.type === "hello") {
      const wrong = message.token === TOKEN ? null : new NagiError("worker.token", "Another token.");
      const old =
        message.schema_hash === REMOTE_SCHEMA_HASH ? null : new NagiError("worker.schema", "Another version.");
      const error = wrong ?? old;
      if (error === null) this.#say(peer, { type: "welcome", schema_hash: REMOTE_SCHEMA_HASH, worker: WORKER_INFO });
      else {
        this.#say(peer, { type: "refused", error: error.toData() });
        peer.close(4401);
      }
      return;
    }
    const { request_id, command } = message;
    if (command.name === "read_blob") {
      const { sha256, offset } = command;
      const blob = this.blobs.get(sha256)?.bytes ?? new Uint8Array();
      const bytes = blob.subarray(offset, offset + command.bytes);
      peer.send(encodeFrame({ type: "blob", request_id, sha256, offset, total: blob.length }, bytes));
      return;
    }
    try {
      const result = this.#do(peer, command);
      this.#say(peer, { type: "response", request_id, ok: true, result });
    } catch (error) {
      const known = error instanceof NagiError ? error : new NagiError("internal", String(error));
      this.#say(peer, { type: "response", request_id, ok: false, error: known.toData() });
    }
    if (command.name === "subscribe") this.#push();
  }

  #do(peer: Peer, command: RemoteCommand): unknown {
    switch (command.name) {
      case "status":
        return WORKER_STATUS;
      case "list_runs":
        return [...this.runs.values()].map(({ record }) => record);
      case "start":
        return this.#start(command);
      case "pause":
      case "stop":
      case "resume":
        return this.#tell(command.run_id, command.name);
      case "subscribe": {
        const run = this.#run(command.run_id);
        this.#peers.get(peer)?.set(command.run_id, command.since_seq);
        return { last_seq: run.events.length - 1 };
      }
      case "stat_blob": {
        const blob = this.blobs.get(command.sha256);
        return { bytes: blob?.bytes.length ?? 0, complete: blob !== undefined && blob.bytes.length === blob.total };
      }
      case "put_artefact": {
        const missing = command.record.files.filter(
          ({ sha256, bytes }) => this.blobs.get(sha256)?.bytes.length !== bytes,
        );
        if (missing.length === 0) this.artefacts.set(command.record.id, command.record);
        return { missing: missing.map(({ sha256 }) => sha256) };
      }
      case "get_artefact":
        return this.artefacts.get(command.id);
      case "delete":
        this.runs.delete(command.run_id);
        return null;
      default:
        return null;
    }
  }

  #run(runId: string): WorkerRun {
    const run = this.runs.get(runId);
    if (run === undefined) throw new NagiError("run.not_found", "no such run", { run_id: runId });
    return run;
  }

  #start(command: StartCommand): RemoteRunRecord {
    this.starts.push(command);
    const known = this.runs.get(command.run_id);
    if (known !== undefined) return known.record;
    const { run_id, config, stage, inputs } = command;
    const resting = {
      pipeline_id: null,
      artefact: null,
      error: null,
      checkpoint_step: null,
      adapter: "",
      version: "1",
    };
    const counts = { created: 1, seconds: 0, step: 0, total_steps: 0, metrics: {} };
    const record: RemoteRunRecord = { run_id, config, stage, inputs, state: "queued", ...resting, ...counts };
    const run: WorkerRun = { record, events: [], start: command, wanted: "run", step: 0 };
    this.runs.set(run_id, run);
    void this.#work(run);
    return record;
  }

  #tell(runId: string, name: "pause" | "stop" | "resume"): null {
    const run = this.#run(runId);
    const rests = run.record.state === "paused";
    if (name === "resume" ? !rests : rests && name === "pause")
      throw new NagiError("run.bad_command", "not now", { command: name, state: run.record.state });
    run.wanted = name === "resume" ? "run" : name;
    if (name === "resume") void this.#work(run);
    return null;
  }

  async #work(run: WorkerRun): Promise<void> {
    const emit = (body: RunEventBody) => {
      run.events.push({ ...body, run_id: run.record.run_id, seq: run.events.length, time: 1000 + run.events.length });
      if (body.type === "state") Object.assign(run.record, { state: body.state });
      this.#push();
    };
    emit({ type: "state", state: "queued", error: null });
    emit({ type: "state", state: "running", error: null });
    if (run.step > 0) emit({ type: "resumed", step: run.step });
    while (run.step < this.steps) {
      if (run.step < this.gate) emit({ type: "log", step: ++run.step, metrics: { loss: 1 / run.step } });
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (run.wanted === "run") continue;
      emit({ type: "checkpoint", step: run.step, bytes: 1 });
      return emit({ type: "state", state: run.wanted === "pause" ? "paused" : "stopped", error: null });
    }
    const { run_id, config, stage } = run.record;
    const settings = config.stages.find(({ id }) => id === stage) ?? null;
    if (settings === null) throw new Error(`no stage ${stage}`);
    const facts = {
      kind: this.kind ?? outputOf(settings),
      name: run.start.artefact_name,
      created: 1,
      run_id,
      seed: config.seed,
    };
    const files = new Map([["a/weights", this.made]]);
    const record = await describeArtefact(files, { ...facts, parents: run.start.parents, stage: settings });
    this.artefacts.set(record.id, record);
    this.blobs.set(await hashBytes(this.made), { bytes: this.made, total: this.made.length });
    Object.assign(run.record, { artefact: record.id });
    emit({ type: "result", step: run.step, metrics: { loss: 0 }, calibration: [], samples: [], notes: [] });
    emit({ type: "state", state: "finished", error: null });
  }

  /** What subscribers have not seen, a few at a time. */
  #push(): void {
    for (const [peer, wanted] of this.#peers)
      for (const [run_id, since] of wanted) {
        const events = this.runs.get(run_id)?.events.slice(since, since + 7) ?? [];
        if (events.length === 0) continue;
        wanted.set(run_id, since + events.length);
        this.#say(peer, { type: "events", run_id, events });
        setTimeout(() => this.#push(), 0);
      }
  }
}

/** Connections within this process, each frame in a turn of its own. */
export function dialWithin(worker: ScriptedWorker): Dial {
  return (_, listener) => {
    const later = (act: () => void) => void setTimeout(act, 0);
    const { received, closed } = worker.connect({
      send: (frame) => later(() => listener.received(frame)),
      close: (code) => later(() => listener.closed(code, "")),
    });
    later(() => listener.opened());
    return {
      send: (frame) => later(() => received(frame)),
      close: () => {
        closed();
        later(() => listener.closed(1000, ""));
      },
    };
  };
}
