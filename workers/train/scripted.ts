/**
 * For the unit tests of this folder: locks with the rules of Web Locks and a stage with the manners of a real one but no
 * GPU. Tests hold a stage at a step with a gate instead of hoping to catch it there.
 */
import { NagiError } from "../../src/shared/errors";
import { outputOf } from "../../src/shared/protocol/pipeline-slots";
import type { StageOutcome } from "../engine/train/stage";
import type { Locks, Release } from "./locks";
import type { StageWork } from "./session";

/** Locks with the rules of Web Locks, shared by several "tabs". */
export class MemoryLocks implements Locks {
  readonly #held = new Map<string, Promise<void>>();
  readonly #releases = new Map<string, Release>();

  async tryHold(name: string): Promise<Release | null> {
    return this.#held.has(name) ? null : this.#take(name);
  }

  async hold(name: string, signal: AbortSignal): Promise<Release> {
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      if (signal.aborted) reject(new DOMException("aborted", "AbortError"));
    });
    aborted.catch(() => undefined);
    for (let holder = this.#held.get(name); holder; holder = this.#held.get(name))
      await Promise.race([holder, aborted]);
    return this.#take(name);
  }

  #take(name: string): Release {
    let free: Release = () => undefined;
    const held = new Promise<void>((resolve) => {
      free = resolve;
    });
    this.#held.set(name, held);
    const release = () => {
      if (this.#held.get(name) === held) this.#held.delete(name);
      free();
    };
    this.#releases.set(name, release);
    return release;
  }

  /** The holder died. */
  free(name: string): void {
    this.#releases.get(name)?.();
  }
}

/** Steps a scripted stage takes, and steps between its checkpoints. */
export const STEPS = 20;
export const SAVE_STEPS = 5;

/** Holds scripted stages behind a step until the test opens it. Commands reach a stage that waits there. */
export class Gate {
  #open = false;

  /** @param step the stage has logged it and not yet looked at the commands after it */
  constructor(readonly step: number) {}

  open(): void {
    this.#open = true;
  }

  holds(step: number): boolean {
    return !this.#open && step === this.step;
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/**
 * A stage with the real one's manners: a step a turn, a checkpoint every five, pause and stop after a checkpoint.
 * @param steps as many as it takes
 */
export async function scriptedStage(input: StageWork, gate: Gate | null = null, steps = STEPS): Promise<StageOutcome> {
  const { emit, control, storage } = input;
  let step = 0;
  let saved: number | null = null;
  const checkpoint = async () => {
    await storage.saveCheckpoint(step, new Uint8Array([step]));
    saved = step;
    emit({ type: "checkpoint", step, bytes: 1 });
  };
  const end = (state: StageOutcome["state"], error: NagiError | null = null): StageOutcome => {
    const metrics = state === "finished" ? { eval_accuracy: 0.9 } : {};
    if (state === "finished") emit({ type: "result", step, metrics, calibration: [], samples: [], notes: [] });
    emit({ type: "state", state, error: error?.toData() ?? null });
    return {
      state,
      error: error?.toData() ?? null,
      step,
      total_steps: steps,
      checkpoint_step: saved,
      seconds: step,
      tokens_per_second: 1,
      metrics,
    };
  };
  try {
    emit({ type: "state", state: "preparing", error: null });
    if (input.resume) {
      const bytes = await storage.loadCheckpoint();
      saved = bytes?.[0] ?? null;
      step = saved ?? 0;
      emit({ type: "resumed", step });
    }
    emit({ type: "state", state: "running", error: null });
    while (step < steps) {
      step++;
      emit({ type: "log", step, metrics: { loss: 1 / step } });
      await turn();
      while (gate?.holds(step) && control.state() === "run") {
        if (control.takeCheckpointRequest?.()) await checkpoint();
        await turn();
      }
      const wanted = control.state();
      if (wanted !== "run" || step % SAVE_STEPS === 0 || control.takeCheckpointRequest?.()) await checkpoint();
      if (wanted !== "run") return end(wanted === "pause" ? "paused" : "stopped");
    }
    // The bytes say what was trained on what: the same stage of the same parents is the same.
    const made = JSON.stringify([input.stage, input.model.name, input.adapter?.name ?? null, input.config.seed]);
    await input.saveArtefact(outputOf(input.stage), new Map([["weights", new TextEncoder().encode(made)]]));
    return end("finished");
  } catch (error) {
    return end("failed", error instanceof NagiError ? error : new NagiError("internal", String(error)));
  }
}

/** The code of the NagiError that `promise` rejects with, else what happened instead. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (caught: unknown) => caught,
  );
  return error instanceof NagiError ? error.code : `no NagiError: ${String(error)}`;
}

/** Milliseconds: only a condition that never comes true waits this long. */
const PATIENCE = 25_000;

/** Waits for what the test itself has set going; nothing else may be able to undo the condition meanwhile. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`it never came to that: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
