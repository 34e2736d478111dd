/**
 * The training loop every stage shares: batches in, optimizer steps, log events, evaluation and checkpoints when they are
 * due, pause and stop. What a step trains on and what is evaluated belongs to the stage.
 *
 * A step is enqueued without waiting for its loss; at most `STEPS_IN_FLIGHT` losses are outstanding. Everything that
 * reads weights (evaluation, checkpoint) first waits for all of them, so that what is stored is known to be finite.
 */
import { NagiError } from "../../../src/shared/errors";
import type { Metrics, RunEventBody } from "../../../src/shared/protocol/events";
import { bucketSize } from "./batch";
import type { Control } from "./stage";
import type { PackedBatch, StepResult } from "./trainer";

/** Enough to keep the GPU busy while a batch is packed, few enough that a pause is taken within two steps. */
const STEPS_IN_FLIGHT = 2;
/** The host gets a turn at least this often (ms), so that commands arrive. */
const YIELD_EVERY = 30;

/** One optimizer step's worth of data. */
export interface StepBatch {
  /** Texts of one forward and backward pass each; their gradients add up. */
  readonly microBatches: readonly PackedBatch[];
  /** Tokens trained on, filler not counted. */
  readonly tokens: number;
}

/** How far a run has come; together with the trainer's tensors and the batch source's state it is a checkpoint. */
export interface LoopProgress {
  /** Optimizer steps whose loss is known. */
  step: number;
  /** Tokens trained on. */
  num_tokens: number;
  /** The same with the filler that a micro-batch is rounded up by. Stages with a loop of their own count none. */
  computed_tokens: number;
  /** Seconds spent in steps, evaluation and checkpoints left out. */
  train_seconds: number;
  /** Losses since the last log event, and over the whole run. */
  interval_loss: number;
  interval_steps: number;
  total_loss: number;
}

export const newProgress = (): LoopProgress => ({
  step: 0,
  num_tokens: 0,
  computed_tokens: 0,
  train_seconds: 0,
  interval_loss: 0,
  interval_steps: 0,
  total_loss: 0,
});

export interface LoopInput {
  /** Starts where the run left off; the loop writes into it. */
  readonly progress: LoopProgress;
  readonly total_steps: number;
  readonly steps_per_epoch: number;
  readonly logging_steps: number;
  readonly eval_steps: number;
  readonly save_steps: number;
  /** Learning rate of the step after `step` steps. */
  readonly learningRate: (step: number) => number;
  readonly nextBatch: () => StepBatch;
  /** Enqueues an optimizer step. */
  readonly trainStep: (microBatches: readonly PackedBatch[], learningRate: number) => Promise<StepResult>;
  /** Further figures of a step for its log event; those of the steps between two log events are not kept. */
  readonly describe?: (microBatches: readonly PackedBatch[], result: StepResult) => Metrics;
  /** Evaluates the weights at hand and emits the eval event. */
  readonly evaluate: (step: number) => Promise<void>;
  /** Stores a checkpoint and emits its event. */
  readonly checkpoint: (step: number) => Promise<void>;
  readonly control: Control;
  readonly emit: (event: RunEventBody) => void;
  readonly clock: () => number;
}

interface Pending {
  readonly step: number;
  readonly batch: StepBatch;
  readonly learning_rate: number;
  readonly result: Promise<StepResult>;
}

/** Share of the computed positions that were filler. */
export const paddingShare = ({ num_tokens, computed_tokens }: LoopProgress): number =>
  computed_tokens > 0 ? 1 - num_tokens / computed_tokens : 0;

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** A macrotask: messages that wait for this thread are delivered before it resolves. */
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/**
 * Runs until all steps are taken or the control says otherwise; what was trained is checkpointed in every case.
 * Throws run.diverged {step, metric} (after a `diverged` event) at the first loss or gradient norm that is not finite;
 * the checkpoint before it stays as it is. Errors of the trainer, the evaluation and the storage pass through.
 */
export async function runLoop(input: LoopInput): Promise<"finished" | "paused" | "stopped"> {
  const { progress, control, clock, total_steps } = input;
  const pending: Pending[] = [];
  /** Optimizer steps enqueued; `progress.step` follows when their losses are in. */
  let step = progress.step;
  let mark = clock();
  let lastTurn = clock();
  let logSeconds = 0;
  let logTokens = 0;

  /** Waits for the oldest outstanding losses until at most `keep` are left, and logs them. */
  const settle = async (keep: number): Promise<void> => {
    while (pending.length > keep) {
      const [oldest] = pending;
      if (!oldest) return;
      const result = await oldest.result;
      pending.shift();
      const now = clock();
      const seconds = (now - mark) / 1000;
      mark = now;
      refuseDivergence(oldest.step, result, input.emit);
      progress.step = oldest.step;
      progress.num_tokens += oldest.batch.tokens;
      for (const { input_ids } of oldest.batch.microBatches) progress.computed_tokens += bucketSize(input_ids.length);
      progress.train_seconds += seconds;
      progress.interval_loss += result.loss;
      progress.interval_steps += 1;
      progress.total_loss += result.loss;
      logSeconds += seconds;
      logTokens += oldest.batch.tokens;
      if (oldest.step % input.logging_steps !== 0 && oldest.step !== total_steps) continue;
      const metrics: Metrics = {
        loss: progress.interval_loss / progress.interval_steps,
        grad_norm: result.grad_norm,
        learning_rate: oldest.learning_rate,
        epoch: oldest.step / input.steps_per_epoch,
        num_tokens: progress.num_tokens,
        padding_share: paddingShare(progress),
        tokens_per_second: finite(logTokens / logSeconds),
        ...input.describe?.(oldest.batch.microBatches, result),
      };
      progress.interval_loss = 0;
      progress.interval_steps = 0;
      logSeconds = 0;
      logTokens = 0;
      input.emit({ type: "log", step: oldest.step, metrics });
    }
  };
  const evaluate = async (): Promise<void> => {
    await settle(0);
    await input.evaluate(step);
    mark = clock();
  };
  const checkpoint = async (): Promise<void> => {
    await settle(0);
    await input.checkpoint(step);
    mark = clock();
  };

  const early = control.state();
  // Nothing was trained since the last checkpoint (or the seed), so there is nothing to store.
  if (early !== "run") return early === "pause" ? "paused" : "stopped";
  while (step < total_steps) {
    const learning_rate = input.learningRate(step);
    const batch = input.nextBatch();
    if (pending.length === 0) mark = clock();
    const result = input.trainStep(batch.microBatches, learning_rate);
    // The rejection is seen where the loss is awaited; until then it must not count as unhandled.
    result.catch(() => undefined);
    step += 1;
    pending.push({ step, batch, learning_rate, result });
    await settle(STEPS_IN_FLIGHT - 1);
    if (clock() - lastTurn >= YIELD_EVERY) {
      await turn();
      lastTurn = clock();
    }
    const last = step === total_steps;
    if (last || step % input.eval_steps === 0) await evaluate();
    const wanted = control.state();
    const asked = control.takeCheckpointRequest?.() ?? false;
    if (last || asked || wanted !== "run" || step % input.save_steps === 0) await checkpoint();
    if (wanted !== "run") return wanted === "pause" ? "paused" : "stopped";
  }
  return "finished";
}

function refuseDivergence(step: number, result: StepResult, emit: LoopInput["emit"]): void {
  const metric = Number.isFinite(result.loss) ? (Number.isFinite(result.grad_norm) ? null : "grad_norm") : "loss";
  if (metric === null) return;
  emit({ type: "diverged", step, metric });
  throw diverged(step, metric);
}

/** The error of a run whose numbers are no longer finite: run.diverged {step, metric}. */
export function diverged(step: number, metric: string): NagiError {
  return new NagiError(
    "run.diverged",
    `Step ${step}: ${metric} is not a finite number, training has diverged. The checkpoint before it is kept; start ` +
      "again with a smaller learning_rate, more warm-up, or max_grad_norm 1.",
    { step, metric },
  );
}
