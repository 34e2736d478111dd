/**
 * The reward stage: a base model learns from labelled texts to give each text a number. Everything is loaded and checked
 * first; then it trains, evaluates and checkpoints; at the end it looks once at the test rows. The parts: base.ts
 * (weights), rows.ts (texts), baselines.ts, sampler.ts (order), loop.ts (steps), score.ts and evaluate.ts (figures),
 * state.ts (checkpoints).
 */
import { type ErrorData, toErrorData } from "../../../src/shared/errors";
import type { RewardStageConfig } from "../../../src/shared/protocol/config";
import type { Metrics, ScoredSample } from "../../../src/shared/protocol/events";
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from "../io/checkpoint";
import { LABELS } from "../model/heads";
import { countParameters, neoxParameterShapes } from "../model/shapes";
import { learningRate, warmupSteps } from "../optim/schedule";
import { loadBase } from "./base";
import { type Baselines, fitBaselines } from "./baselines";
import { bestThreshold, calibration, evaluationMetrics, type Scored } from "./evaluate";
import { DeviceGuard } from "./guard";
import { diverged, type LoopProgress, newProgress, runLoop } from "./loop";
import { drawPairs } from "./pairs";
import { pick, readSplits, type Split, type Splits } from "./rows";
import { batchLimits, Sampler, samplerState } from "./sampler";
import { type RewardReader, readRewards } from "./score";
import type { StageInput, StageOutcome } from "./stage";
import { type RewardState, readState } from "./state";
import { stream } from "./streams";
import { Trainer } from "./trainer";

/** Training rows on which a pairwise model's threshold is fitted: enough for a cut, few enough for every evaluation. */
const THRESHOLD_ROWS = 256;

/** What `prepare` makes and everything later uses. */
interface Prepared {
  readonly splits: Splits;
  readonly trainer: Trainer;
  readonly reader: RewardReader;
  readonly sampler: Sampler;
  readonly progress: LoopProgress;
  readonly baselines: Baselines;
  readonly total_steps: number;
  readonly truncated_rows: number;
  /** Seconds of earlier sessions. */
  readonly seconds: number;
}

/** The validation rows as they were last scored. */
interface Evaluation {
  readonly step: number;
  readonly scored: Scored;
  readonly threshold: number;
  readonly metrics: Metrics;
}

/**
 * Runs the stage to its end, to a pause or stop, or to its failure; never rejects, and emits every state event. A failed
 * run that has a checkpoint can be resumed from it, also after gpu.lost, run.diverged and storage.quota.
 */
export async function runRewardStage(input: StageInput<RewardStageConfig>): Promise<StageOutcome> {
  const stage = new RewardStage(input);
  try {
    input.emit({ type: "state", state: "preparing", error: null });
    await stage.prepare();
    input.emit({ type: "state", state: "running", error: null });
    const ended = await stage.train();
    if (ended === "finished") await stage.conclude();
    input.emit({ type: "state", state: ended, error: null });
    return stage.outcome(ended, null);
  } catch (error) {
    const data = toErrorData(error);
    input.emit({ type: "state", state: "failed", error: data });
    return stage.outcome("failed", data);
  } finally {
    stage.release();
  }
}

class RewardStage {
  private readonly config: RewardStageConfig;
  private readonly guard: DeviceGuard;
  private readonly started: number;
  private prepared: Prepared | null = null;
  private evaluation: Evaluation | null = null;
  private checkpointStep: number | null = null;
  private metrics: Metrics = {};
  /** Of the last evaluation, kept over a resume. */
  private threshold = 0;

  constructor(private readonly input: StageInput<RewardStageConfig>) {
    this.config = input.stage;
    this.guard = new DeviceGuard(input.gpu);
    this.started = input.clock();
  }

  /** Loads, checks, measures the baselines, and puts the model (of the seed, or of the checkpoint) on the GPU. */
  async prepare(): Promise<void> {
    const { input, config } = this;
    const { objective } = config;
    const base = await loadBase(input.model, input.config, config);
    const maxLength = Math.min(config.max_length, base.config.max_position_embeddings);
    const splits = await readSplits(input.data, base.tokenizer, maxLength);
    const { train, validation, test } = splits;
    const rows = [train, validation, ...(test ? [test] : [])];
    const checkpoint = input.resume ? await this.loadCheckpoint(train) : null;
    const baselines = checkpoint?.state.baselines ?? (await fitBaselines(splits));
    const limits = batchLimits(rows, objective, config.per_device_train_batch_size);
    const trainer = await this.guard.wait(
      Trainer.create(input.gpu, base.config, base.tensors, {
        task: "reward",
        objective,
        optimizer: {
          betas: [config.adam_beta1, config.adam_beta2],
          eps: config.adam_epsilon,
          weight_decay: config.weight_decay,
          max_grad_norm: config.max_grad_norm,
        },
        ...limits,
      }),
    );
    const sampler = new Sampler(train, {
      objective,
      seed: input.config.seed,
      batch_size: config.per_device_train_batch_size,
      accumulation: config.gradient_accumulation_steps,
      limits,
    });
    const { steps_per_epoch } = sampler;
    const total_steps = config.max_steps > 0 ? config.max_steps : Math.ceil(config.num_train_epochs * steps_per_epoch);
    const truncated_rows = rows.reduce((sum, split) => sum + split.truncated.filter(Boolean).length, 0);
    const progress = checkpoint ? { ...checkpoint.state.progress } : newProgress();
    const reader = { trainer, guard: this.guard, objective, limits };
    const seconds = checkpoint?.state.seconds ?? 0;
    this.prepared = { splits, trainer, reader, sampler, progress, baselines, total_steps, truncated_rows, seconds };
    const parameters = countParameters(
      neoxParameterShapes(base.config, { kind: "reward", num_labels: LABELS[objective] }),
    );
    input.emit({
      type: "prepared",
      total_steps,
      steps_per_epoch,
      parameters,
      trainable_parameters: parameters,
      train_rows: train.rows.length,
      validation_rows: validation.rows.length,
      test_rows: test?.rows.length ?? 0,
      truncated_rows,
      baselines: baselines.validation,
      adapter: input.gpu.adapterName,
      gpu_bytes: trainer.memory.bytes,
    });
    if (!checkpoint) return;
    await this.guard.wait(trainer.importState(checkpoint.tensors));
    sampler.restore(checkpoint.state.sampler);
    this.checkpointStep = progress.step;
    this.threshold = checkpoint.state.threshold;
    input.emit({ type: "resumed", step: progress.step });
  }

  async train(): Promise<"finished" | "paused" | "stopped"> {
    const { config, input } = this;
    const { progress, sampler, trainer, total_steps } = this.ready();
    const schedule = {
      type: config.lr_scheduler_type,
      learning_rate: config.learning_rate,
      warmup_steps: warmupSteps(config.warmup_ratio, total_steps),
      total_steps,
    };
    return runLoop({
      progress,
      total_steps,
      steps_per_epoch: sampler.steps_per_epoch,
      logging_steps: config.logging_steps,
      eval_steps: config.eval_steps,
      save_steps: config.save_steps,
      learningRate: (step) => learningRate(schedule, step),
      nextBatch: () => sampler.next(),
      trainStep: (batches, rate) => this.guard.wait(trainer.step(batches, rate)),
      evaluate: async (step) => void (await this.evaluate(step)),
      checkpoint: (step) => this.checkpoint(step),
      control: input.control,
      emit: input.emit,
      clock: input.clock,
    });
  }

  /** The test rows, and everything that is said once. */
  async conclude(): Promise<void> {
    const { config } = this;
    const { splits, progress, baselines, total_steps, sampler, truncated_rows } = this.ready();
    // A run that is resumed after its last step has weights but no evaluation.
    const evaluation = this.evaluation ?? (await this.evaluate(progress.step));
    const { scored, threshold } = evaluation;
    const final: Metrics = { ...evaluation.metrics };
    if (splits.test) {
      const test = await this.scored(splits.test, progress.step);
      const cut = config.objective === "pairwise" ? bestThreshold(scored.rewards, scored.labels) : 0;
      Object.assign(final, evaluationMetrics("test", test, config.objective, cut));
    }
    const { validation } = baselines;
    this.metrics = {
      ...final,
      ...(baselines.test ?? validation),
      eval_majority_accuracy: validation.majority_accuracy,
      eval_ngram_accuracy: validation.ngram_accuracy,
      eval_ngram_auc: validation.ngram_auc,
      train_loss: progress.total_loss / total_steps,
      train_runtime: progress.train_seconds,
      num_tokens: progress.num_tokens,
      epoch: progress.step / sampler.steps_per_epoch,
      truncated_rows,
    };
    const { rows, truncated } = splits.validation;
    const samples = rows.map(
      (row, index): ScoredSample => ({
        index,
        review_id: row.review_id,
        sentence: row.sentence,
        label: row.label,
        reward: scored.rewards[index] ?? null,
        truncated: truncated[index] ?? false,
      }),
    );
    this.input.emit({
      type: "result",
      step: progress.step,
      metrics: this.metrics,
      calibration: calibration(scored, threshold),
      samples,
      notes: [],
    });
  }

  outcome(state: StageOutcome["state"], error: ErrorData | null): StageOutcome {
    const { prepared } = this;
    const { step, num_tokens, train_seconds } = prepared?.progress ?? newProgress();
    return {
      state,
      error,
      step,
      total_steps: prepared?.total_steps ?? 0,
      checkpoint_step: this.checkpointStep,
      seconds: this.seconds(),
      tokens_per_second: train_seconds > 0 ? num_tokens / train_seconds : 0,
      metrics: this.metrics,
    };
  }

  release(): void {
    this.prepared?.trainer.destroy();
  }

  private ready(): Prepared {
    if (!this.prepared) throw new Error("prepare() comes first");
    return this.prepared;
  }

  private seconds(): number {
    return (this.prepared?.seconds ?? 0) + (this.input.clock() - this.started) / 1000;
  }

  /** The rewards of a split. A model that gives one that is not finite has diverged. */
  private async scored(split: Split, step: number): Promise<Scored> {
    const { labels, lengths } = split;
    const rewards = await readRewards(this.ready().reader, split.ids);
    if (!rewards.every(Number.isFinite)) throw this.divergence(step, "reward");
    const pairs =
      this.config.objective === "pairwise" ? drawPairs(labels, stream(this.input.config.seed, "pairs")) : [];
    return { rewards, labels, lengths, pairs };
  }

  private divergence(step: number, metric: string): Error {
    this.input.emit({ type: "diverged", step, metric });
    return diverged(step, metric);
  }

  private async evaluate(step: number): Promise<Evaluation> {
    const { splits } = this.ready();
    const scored = await this.scored(splits.validation, step);
    const threshold = this.config.objective === "pairwise" ? await this.trainThreshold(step) : 0;
    const metrics = evaluationMetrics("eval", scored, this.config.objective, threshold);
    this.threshold = threshold;
    this.evaluation = { step, scored, threshold, metrics };
    this.input.emit({ type: "eval", step, metrics });
    return this.evaluation;
  }

  /** Pairwise rewards are fixed up to a constant only: where positive begins is asked of a few training rows. */
  private async trainThreshold(step: number): Promise<number> {
    const { train } = this.ready().splits;
    const all = Array.from(train.rows, (_, index) => index);
    const some = stream(this.input.config.seed, "threshold").shuffle(all).slice(0, THRESHOLD_ROWS);
    const { rewards, labels } = await this.scored(pick(train, some), step);
    return bestThreshold(rewards, labels);
  }

  private async checkpoint(step: number): Promise<void> {
    const { trainer, sampler, progress, baselines, splits } = this.ready();
    const { weights, exp_avg, exp_avg_sq, optimizer_step } = await this.guard.wait(trainer.exportState());
    for (const tensor of weights.values()) if (!tensor.every(Number.isFinite)) throw this.divergence(step, "weights");
    const state: RewardState = {
      config: this.input.config,
      stage: this.config.id,
      ...extent(splits.train),
      progress: { ...progress },
      sampler: samplerState.parse(sampler.state()),
      seconds: this.seconds(),
      baselines,
      threshold: this.threshold,
    };
    const bytes = await encodeCheckpoint({ optimizer_step, weights, exp_avg, exp_avg_sq, state });
    await this.input.storage.saveCheckpoint(step, bytes);
    this.checkpointStep = step;
    this.input.emit({ type: "checkpoint", step, bytes: bytes.length });
  }

  private async loadCheckpoint(train: Split): Promise<{ tensors: Checkpoint; state: RewardState } | null> {
    const bytes = await this.input.storage.loadCheckpoint();
    if (!bytes) return null;
    const tensors = await decodeCheckpoint(bytes, "checkpoint");
    return {
      tensors,
      state: readState(tensors.state, { config: this.input.config, stage: this.config, ...extent(train) }),
    };
  }
}

/** What tells training data from other training data, cheaply. */
function extent({ rows, lengths }: Split): { rows: number; tokens: number } {
  return { rows: rows.length, tokens: lengths.reduce((sum, length) => sum + length, 0) };
}
