import { beforeEach, describe, expect, it } from "vitest";
import { NagiError } from "../../src/shared/errors";
import { DEFAULT_RUN } from "../../src/shared/protocol/defaults";
import type { RunEvent } from "../../src/shared/protocol/events";
import { runRecord } from "../../src/shared/protocol/run";
import { MemoryDirectory } from "../engine/io/memory-directory";
import { Folder } from "../engine/io/opfs";
import { MapSource } from "../engine/io/source";
import { ArtefactStore } from "./artefact-store";
import { EventHub } from "./event-hub";
import { runLock } from "./run-session";
import { Runs } from "./runs";
import { codeOf, Gate, MemoryLocks, STEPS, scriptedStage, until } from "./scripted";
import type { SessionTools } from "./session";

let directory: MemoryDirectory;
let artefacts: MemoryDirectory;
let locks: MemoryLocks;

/** A tab: its own worker, on the same disk and the same locks. */
function tab(change: Partial<SessionTools> = {}): {
  runs: Runs;
  events: RunEvent[];
  watch: (runId: string) => Promise<number>;
} {
  const events: RunEvent[] = [];
  const tools: SessionTools = {
    locks,
    hub: new EventHub(null),
    shelf: {
      reference: async (name) => new MapSource(name, new Map()),
      artefact: async (id) => Promise.reject(new NagiError("artefact.not_found", "none", { id })),
    },
    artefacts: new ArtefactStore(new Folder(artefacts, "artefacts"), locks, async () => artefacts.disk.free),
    data: async (name) => ({ name, bytes: new Uint8Array() }),
    train: (work) => scriptedStage(work),
    clock: () => performance.now(),
    remote: null,
    ...change,
  };
  const runs = new Runs(new Folder(directory, "runs"), tools, async () => directory.disk.free, "test");
  return { runs, events, watch: (runId) => runs.subscribe(runId, 0, (batch) => void events.push(...batch)) };
}

/** A tab whose first run is held behind a step. */
function heldTab(step: number) {
  const gate = new Gate(step);
  let held = false;
  const train: SessionTools["train"] = (work) => {
    const first = !held;
    held = true;
    return scriptedStage(work, first ? gate : null);
  };
  return { gate, ...tab({ train }) };
}

const stepReached = (runs: Runs, runId: string, step: number) =>
  until(async () => (await runs.record(runId)).step === step);

/** The record on the disk, for what must have been written before a tab dies. */
const onDisk = async (runId: string) =>
  (await new Folder(directory, "runs").folder(runId)).readJson("run.json", runRecord);

const stateOf = async (runs: Runs, runId: string) => (await runs.record(runId)).state;
const seqs = (events: readonly RunEvent[]) => events.map((event) => event.seq);
const steps = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === "log" ? [event.step] : []));
const lossPerStep = (events: readonly RunEvent[]) =>
  new Map(events.flatMap((event) => (event.type === "log" ? [[event.step, event.metrics.loss] as const] : [])));

beforeEach(() => {
  directory = new MemoryDirectory("runs");
  artefacts = new MemoryDirectory("artefacts", directory.disk);
  locks = new MemoryLocks();
});

describe("a run", () => {
  it("is listed at once, trains to its end and keeps its curve", async () => {
    const { runs, events, watch } = tab();
    const { run_id } = await runs.start(DEFAULT_RUN);
    await watch(run_id);
    expect((await runs.list()).map((run) => run.run_id)).toEqual([run_id]);
    await until(async () => (await stateOf(runs, run_id)) === "finished");
    await until(() => events.at(-1)?.type === "state" && events.length > STEPS);
    // The stage's last word comes a moment before what it returns.
    await until(async () => (await runs.record(run_id)).metrics.eval_accuracy !== undefined);
    expect(seqs(events)).toEqual(events.map((_, i) => i));
    expect(steps(events)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
    const record = await runs.record(run_id);
    expect(record).toMatchObject({
      state: "finished",
      step: STEPS,
      checkpoint_step: STEPS,
      metrics: { eval_accuracy: 0.9 },
    });
    expect((await runs.eventLog(run_id)).trimEnd().split("\n").length).toBe(events.length);
    expect(await codeOf(runs.resume(run_id))).toBe("run.bad_command");
    expect(await codeOf(runs.pause(run_id))).toBe("run.bad_command");
    await runs.delete(run_id);
    expect(await runs.list()).toEqual([]);
    expect(await codeOf(runs.record(run_id))).toBe("run.not_found");
  });

  it("pauses after a checkpoint and goes on from it with the same curve as an uninterrupted one", async () => {
    const { runs, events, watch } = heldTab(7);
    const { run_id } = await runs.start(DEFAULT_RUN);
    await watch(run_id);
    await stepReached(runs, run_id, 7);
    await runs.pause(run_id);
    const paused = await runs.record(run_id);
    expect(paused).toMatchObject({ state: "paused", step: 7, checkpoint_step: 7 });
    const whole = await runs.start(DEFAULT_RUN);
    await until(async () => (await stateOf(runs, whole.run_id)) === "finished");
    await runs.resume(run_id);
    await until(async () => (await stateOf(runs, run_id)) === "finished");
    await until(() => events.some((event) => event.type === "state" && event.state === "finished"));
    expect(seqs(events)).toEqual(events.map((_, i) => i));
    const uninterrupted = (await runs.eventLog(whole.run_id)).trimEnd().split("\n");
    expect(lossPerStep(events)).toEqual(lossPerStep(uninterrupted.map((line): RunEvent => JSON.parse(line))));
  });

  it("ends for good when it is stopped, running or paused", async () => {
    const { runs } = tab({ train: (work) => scriptedStage(work, new Gate(2)) });
    const running = await runs.start(DEFAULT_RUN);
    await stepReached(runs, running.run_id, 2);
    await runs.stop(running.run_id);
    expect(await stateOf(runs, running.run_id)).toBe("stopped");
    const paused = await runs.start(DEFAULT_RUN);
    await stepReached(runs, paused.run_id, 2);
    await runs.pause(paused.run_id);
    await runs.stop(paused.run_id);
    expect(await stateOf(runs, paused.run_id)).toBe("stopped");
    expect(await codeOf(runs.resume(paused.run_id))).toBe("run.bad_command");
    expect(await codeOf(runs.stop(paused.run_id))).toBe("run.bad_command");
  });

  it("checkpoints when asked to, and cannot be deleted while it is worked on", async () => {
    const { runs } = heldTab(3);
    const { run_id } = await runs.start(DEFAULT_RUN);
    await stepReached(runs, run_id, 3);
    expect((await runs.record(run_id)).checkpoint_step).toBeNull();
    await runs.checkpoint(run_id);
    expect((await runs.record(run_id)).checkpoint_step).toBe(3);
    expect(await codeOf(runs.delete(run_id))).toBe("run.bad_command");
    expect((await runs.newestCheckpoint(run_id)).bytes).toEqual(new Uint8Array([3]));
    await runs.stop(run_id);
  });

  it("waits for its turn, and leaves the queue when it is paused", async () => {
    const { runs, gate } = heldTab(2);
    const first = await runs.start(DEFAULT_RUN);
    const second = await runs.start(DEFAULT_RUN);
    const third = await runs.start(DEFAULT_RUN);
    await stepReached(runs, first.run_id, 2);
    expect(await stateOf(runs, second.run_id)).toBe("queued");
    await runs.pause(second.run_id);
    expect(await stateOf(runs, second.run_id)).toBe("paused");
    expect(await stateOf(runs, third.run_id)).toBe("queued");
    gate.open();
    await until(async () => (await stateOf(runs, third.run_id)) === "finished");
    expect(await stateOf(runs, first.run_id)).toBe("finished");
    expect((await runs.record(second.run_id)).step).toBe(0);
    expect(await codeOf(runs.newestCheckpoint(second.run_id))).toBe("run.no_checkpoint");
    await runs.resume(second.run_id);
    await until(async () => (await stateOf(runs, second.run_id)) === "finished");
  });
});

describe("failures", () => {
  it("before the stage (no adapter, no data) are the run's last state, with code and details", async () => {
    const { runs, events, watch } = tab({
      train: async () => {
        throw new NagiError("gpu.no_adapter", "none", { message: "m" });
      },
    });
    const { run_id } = await runs.start(DEFAULT_RUN);
    await until(async () => (await stateOf(runs, run_id)) === "failed");
    await watch(run_id);
    const last = events.at(-1);
    expect(last).toMatchObject({
      type: "state",
      state: "failed",
      error: { code: "gpu.no_adapter", details: { message: "m" } },
    });
  });

  it("can be resumed the moment they are known", async () => {
    let failures = 1;
    const { runs } = tab({
      train: async (work) => {
        if (failures-- === 0) return scriptedStage(work);
        throw new NagiError("gpu.lost", "gone", { reason: "unknown", message: "m" });
      },
    });
    const { run_id } = await runs.start(DEFAULT_RUN);
    let resumed: Promise<void> | null = null;
    await runs.subscribe(run_id, 0, (events) => {
      if (events.some((event) => event.type === "state" && event.state === "failed")) resumed ??= runs.resume(run_id);
    });
    await until(() => resumed !== null);
    await resumed;
    await until(async () => (await stateOf(runs, run_id)) === "finished");
  });

  it("of the disk keep the last checkpoint, say what is needed, and can be resumed once there is room", async () => {
    const { runs, events, watch, gate } = heldTab(6);
    const { run_id } = await runs.start(DEFAULT_RUN);
    await watch(run_id);
    await stepReached(runs, run_id, 6);
    await until(async () => (await onDisk(run_id))?.checkpoint_step === 5);
    directory.disk.free = 0;
    gate.open();
    await until(async () => (await stateOf(runs, run_id)) === "failed");
    await until(() => events.some((event) => event.type === "state" && event.state === "failed"));
    const failed = events.find((event) => event.type === "state" && event.state === "failed");
    expect(failed).toMatchObject({ error: { code: "storage.quota" } });
    expect((await runs.newestCheckpoint(run_id)).step).toBe(5);
    directory.disk.free = null;
    await runs.resume(run_id);
    await until(async () => (await stateOf(runs, run_id)) === "finished");
    const log = (await runs.eventLog(run_id)).trimEnd().split("\n");
    expect(log.map((line): RunEvent => JSON.parse(line)).map((event) => event.seq)).toEqual(log.map((_, i) => i));
  });
});

describe("tabs", () => {
  it("shut out each other while one of them trains, and both show the curve", async () => {
    const one = heldTab(2);
    const two = tab();
    const { run_id } = await one.runs.start(DEFAULT_RUN);
    await stepReached(one.runs, run_id, 2);
    expect((await two.runs.list())[0]?.state).not.toBe("paused");
    const commands = ["pause", "resume", "stop", "checkpoint", "delete"] as const;
    const codes = await Promise.all(commands.map((command) => codeOf(two.runs[command](run_id))));
    expect(codes).toEqual(commands.map(() => "storage.busy"));
    await two.watch(run_id);
    expect(steps(two.events)).toEqual([1, 2]);
    await one.runs.pause(run_id);
    await two.runs.resume(run_id);
    await until(async () => (await stateOf(two.runs, run_id)) === "finished");
  });

  it("learn when the other one lets go of a run, without asking again", async () => {
    const one = tab({ train: stageThatHangsAt(3) });
    const two = tab();
    const { run_id } = await one.runs.start(DEFAULT_RUN);
    await stepReached(one.runs, run_id, 3);
    await until(async () => (await two.runs.list())[0]?.state === "running");
    await two.watch(run_id);
    directory.closeAll();
    locks.free(runLock(run_id));
    await until(() => two.events.some((event) => event.type === "state" && event.error?.code === "run.interrupted"));
    expect(await stateOf(two.runs, run_id)).toBe("paused");
  });

  it("that were killed leave a paused run with its whole curve, which goes on from its checkpoint", async () => {
    const one = tab({ train: stageThatHangsAt(8) });
    const { run_id } = await one.runs.start(DEFAULT_RUN);
    await stepReached(one.runs, run_id, 8);
    await until(async () => (await onDisk(run_id))?.checkpoint_step === 5);
    kill();

    const two = tab();
    const [listed] = await two.runs.list();
    expect(listed).toMatchObject({ run_id, state: "paused", step: 8, checkpoint_step: 5 });
    await two.watch(run_id);
    expect(steps(two.events)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(two.events.at(-1)).toMatchObject({
      type: "state",
      state: "paused",
      error: { code: "run.interrupted", details: { step: 8, checkpoint_step: 5 } },
    });
    await two.runs.resume(run_id);
    await until(async () => (await stateOf(two.runs, run_id)) === "finished");
    await until(() => two.events.some((event) => event.type === "state" && event.state === "finished"));
    expect(seqs(two.events)).toEqual(two.events.map((_, i) => i));
    expect(steps(two.events).slice(8, 10)).toEqual([6, 7]);
  });

  it("that were killed leave a paused run for all who ask at once", async () => {
    const one = tab({ train: stageThatHangsAt(8) });
    const { run_id } = await one.runs.start(DEFAULT_RUN);
    await stepReached(one.runs, run_id, 8);
    kill();
    const two = tab();
    for (const [listed] of await Promise.all([two.runs.list(), two.runs.list(), two.runs.list()]))
      expect(listed).toMatchObject({ run_id, state: "paused", error: { code: "run.interrupted" } });
  });

  it("that died while a run was made leave nothing", async () => {
    await directory.getDirectoryHandle("20260101000000-0000", { create: true });
    expect(await tab().runs.list()).toEqual([]);
    expect(await new Folder(directory, "runs").entries()).toEqual([]);
  });

  it("never delete a run whose record they cannot read", async () => {
    const { runs } = tab();
    const { run_id } = await runs.start(DEFAULT_RUN);
    await until(async () => (await stateOf(runs, run_id)) === "finished");
    const file = (await directory.getDirectoryHandle(run_id)).file("run.json");
    const whole = file.bytes;
    file.bytes = new TextEncoder().encode('{"from":"the future"}');
    const two = tab();
    expect(await two.runs.list()).toEqual([]);
    expect((await two.runs.sizes()).map((run) => run.run_id)).toEqual([run_id]);
    expect(await codeOf(two.runs.record(run_id))).toBe("storage.corrupt");
    file.bytes = whole;
    expect((await two.runs.list()).map((run) => run.state)).toEqual(["finished"]);
  });

  /** The browser's part when a tab dies: its locks and its open files are freed. */
  function kill(): void {
    locks = new MemoryLocks();
    directory.closeAll();
  }
});

function stageThatHangsAt(last: number): SessionTools["train"] {
  return (input) =>
    scriptedStage({
      ...input,
      emit: (event) => {
        if (event.type !== "log" || event.step <= last) input.emit(event);
      },
      control: {
        state: () => input.control.state(),
        takeCheckpointRequest: () => false,
      },
      storage: {
        ...input.storage,
        loadCheckpoint: () => input.storage.loadCheckpoint(),
        saveCheckpoint: (step, bytes) =>
          step > last ? new Promise<void>(() => undefined) : input.storage.saveCheckpoint(step, bytes),
      },
    });
}
