/**
 * What every stage does the same way: its states, its clock, its checkpoints and its outcome. A stage itself
 * (reward.ts, sft.ts, ...) is a StageBody that works at a StageRun.
 */
import { type ErrorData, toErrorData } from "../../../src/shared/errors";
import type { StageConfig } from "../../../src/shared/protocol/config";
import type { Metrics, RunEventBody } from "../../../src/shared/protocol/events";
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, type JsonValue } from "../io/checkpoint";
import { learningRate, type ScheduleOptions, warmupSteps } from "../optim/schedule";
import { DeviceGuard } from "./guard";
import {
  diverged,
  type LoopInput,
  type LoopProgress,
  newProgress,
  paddingShare,
  runLoop,
  type StepBatch,
} from "./loop";
import type { StageInput, StageOutcome } from "./stage";
import { type CommonState, type Extent, readState, type StateSchema } from "./state";
import type { Trainer } from "./trainer";

export type Ended = "finished" | "paused" | "stopped";

/** The parts of a stage, called in this order; each may reject, which fails the run. */
export interface StageBody {
  /** Loads and checks everything, emits `prepared` and, where it continues, `resumed`. */
  prepare(): Promise<void>;
  /** The work itself, until it is done or the control says otherwise. */
  work(): Promise<Ended>;
  /** Only after "finished": the last figures, the artefact, and `StageRun.finish`. */
  conclude(): Promise<void>;
  /** Frees what is on the GPU; called in every case, also when `prepare` has not come to its end. */
  release(): void;
}

/** The settings that a stage with optimizer steps shares with the others. */
type TrainingConfig = Extract<StageConfig, { readonly learning_rate: number }>;

export class StageRun<S extends StageConfig = StageConfig> {
  readonly guard: DeviceGuard;
  readonly progress: LoopProgress = newProgress();
  total_steps = 0;
  #checkpointStep: number | null = null;
  #metrics: Metrics = {};
  /** Seconds of earlier sessions. */
  #before = 0;
  readonly #started: number;

  constructor(readonly input: StageInput<S>) {
    this.guard = new DeviceGuard(input.gpu);
    this.#started = input.clock();
  }

  get config(): S {
    return this.input.stage;
  }

  get seed(): number {
    return this.input.config.seed;
  }

  emit(event: RunEventBody): void {
    this.input.emit(event);
  }

  /** Seconds in the stage so far, pauses left out. */
  seconds(): number {
    return this.#before + (this.input.clock() - this.#started) / 1000;
  }

  /** The error of a number that is not finite, after its `diverged` event. */
  divergence(step: number, metric: string): Error {
    this.emit({ type: "diverged", step, metric });
    return diverged(step, metric);
  }

  /**
   * The newest checkpoint where the run is to continue and has one. Puts progress and clock where they were; the stage
   * puts back its own parts and then calls `resumed()`.
   * @throws NagiError storage.corrupt, config.invalid where it belongs to another run
   */
  async loadCheckpoint<T extends CommonState>(
    schema: StateSchema<T>,
    extent: Extent,
  ): Promise<{ tensors: Checkpoint; state: T } | null> {
    const { input } = this;
    const bytes = input.resume ? await input.storage.loadCheckpoint() : null;
    if (!bytes) return null;
    const tensors = await decodeCheckpoint(bytes, "checkpoint");
    const state = readState(schema, tensors.state, { config: input.config, stage: input.stage, ...extent });
    Object.assign(this.progress, state.progress);
    this.#before = state.seconds;
    return { tensors, state };
  }

  resumed(): void {
    this.#checkpointStep = this.progress.step;
    this.emit({ type: "resumed", step: this.progress.step });
  }

  /** Stores the trainer's state and what else the stage must know to go on. @throws run.diverged, storage.* */
  async saveCheckpoint(
    step: number,
    trainer: Pick<Trainer, "exportState">,
    extent: Extent,
    own: Readonly<Record<string, JsonValue>>,
  ): Promise<void> {
    const tensors = await this.guard.wait(trainer.exportState());
    for (const tensor of tensors.weights.values())
      if (!tensor.every(Number.isFinite)) throw this.divergence(step, "weights");
    const common = {
      config: this.input.config,
      stage: this.config.id,
      ...extent,
      progress: { ...this.progress },
      seconds: this.seconds(),
    } satisfies CommonState;
    const bytes = await encodeCheckpoint({ ...tensors, state: { ...common, ...own } });
    await this.input.storage.saveCheckpoint(step, bytes);
    this.#checkpointStep = step;
    this.emit({ type: "checkpoint", step, bytes: bytes.length });
  }

  /** Says the stage's result. */
  finish(
    metrics: Metrics,
    more: Partial<Pick<Extract<RunEventBody, { type: "result" }>, "calibration" | "samples" | "notes">>,
  ): void {
    this.#metrics = metrics;
    const { step } = this.progress;
    this.emit({ type: "result", step, metrics, calibration: [], samples: [], notes: [], ...more });
  }

  outcome(state: StageOutcome["state"], error: ErrorData | null): StageOutcome {
    const { step, num_tokens, train_seconds } = this.progress;
    return {
      state,
      error,
      step,
      total_steps: this.total_steps,
      checkpoint_step: this.#checkpointStep,
      seconds: this.seconds(),
      tokens_per_second: train_seconds > 0 ? num_tokens / train_seconds : 0,
      metrics: this.#metrics,
    };
  }
}

/**
 * Runs a stage to its end, to a pause or stop, or to its failure; never rejects, and emits every state event. A failed
 * run that has a checkpoint can be resumed from it, also after gpu.lost, run.diverged and storage.quota.
 */
export async function runBody<S extends StageConfig>(run: StageRun<S>, body: StageBody): Promise<StageOutcome> {
  try {
    run.emit({ type: "state", state: "preparing", error: null });
    await body.prepare();
    run.emit({ type: "state", state: "running", error: null });
    const ended = await body.work();
    if (ended === "finished") await body.conclude();
    run.emit({ type: "state", state: ended, error: null });
    return run.outcome(ended, null);
  } catch (error) {
    const data = toErrorData(error);
    run.emit({ type: "state", state: "failed", error: data });
    return run.outcome("failed", data);
  } finally {
    body.release();
  }
}

/** The optimizer of a stage's settings. */
export const optimizerOf = (config: TrainingConfig) => ({
  betas: [config.adam_beta1, config.adam_beta2] as const,
  eps: config.adam_epsilon,
  weight_decay: config.weight_decay,
  max_grad_norm: config.max_grad_norm,
});

/** The learning rate over a stage of `total_steps`. */
export function scheduleOf(config: TrainingConfig, total_steps: number): ScheduleOptions {
  return {
    type: config.lr_scheduler_type,
    learning_rate: config.learning_rate,
    warmup_steps: warmupSteps(config.warmup_ratio, total_steps),
    total_steps,
  };
}

/** Optimizer steps of a stage with epochs. */
export const totalSteps = (
  config: { readonly max_steps: number; readonly num_train_epochs: number },
  steps_per_epoch: number,
): number => (config.max_steps > 0 ? config.max_steps : Math.ceil(config.num_train_epochs * steps_per_epoch));

export interface TrainingParts {
  readonly trainer: Pick<Trainer, "step">;
  readonly steps_per_epoch: number;
  readonly nextBatch: () => StepBatch;
  /** Further figures of a step: see LoopInput. */
  readonly describe?: LoopInput["describe"];
  /** Emits the eval event. */
  readonly evaluate: (step: number) => Promise<void>;
  readonly checkpoint: (step: number) => Promise<void>;
}

/** The optimizer steps of a stage with epochs: see runLoop. */
export function trainSteps(run: StageRun<TrainingConfig>, parts: TrainingParts): Promise<Ended> {
  const { config, input, progress, total_steps, guard } = run;
  const schedule = scheduleOf(config, total_steps);
  return runLoop({
    progress,
    total_steps,
    steps_per_epoch: parts.steps_per_epoch,
    logging_steps: config.logging_steps,
    eval_steps: config.eval_steps,
    save_steps: config.save_steps,
    learningRate: (step) => learningRate(schedule, step),
    nextBatch: parts.nextBatch,
    trainStep: (batches, rate) => guard.wait(parts.trainer.step(batches, rate)),
    ...(parts.describe ? { describe: parts.describe } : {}),
    evaluate: parts.evaluate,
    checkpoint: parts.checkpoint,
    control: input.control,
    emit: input.emit,
    clock: input.clock,
  });
}

/** What transformers' Trainer says of a training that has ended, beside its last evaluation. */
export function trainedFigures({ progress, total_steps }: StageRun, steps_per_epoch: number): Metrics {
  return {
    train_loss: progress.total_loss / total_steps,
    train_runtime: progress.train_seconds,
    num_tokens: progress.num_tokens,
    padding_share: paddingShare(progress),
    epoch: progress.step / steps_per_epoch,
  };
}
