/**
 * The reward stage: a model learns from labelled texts, or from pairs, to give each text a number. Everything is loaded
 * and checked first; then it trains, evaluates and checkpoints; at the end it looks once at the test rows. The parts:
 * base.ts (weights), rows.ts and preferences.ts (texts), baselines.ts, sampler.ts (order), score.ts and evaluate.ts
 * (figures), stage-run.ts (states, checkpoints).
 */
import type { RewardStageConfig } from "../../../src/shared/protocol/config";
import type { Metrics, ScoredSample } from "../../../src/shared/protocol/events";
import { LABELS } from "../model/heads";
import { countParameters, neoxParameterShapes } from "../model/shapes";
import { type BaseModel, loadBase } from "./base";
import { type Baselines, fitBaselines } from "./baselines";
import { bestThreshold, calibration, evaluationMetrics, pairMetrics, type Scored } from "./evaluate";
import { rewardModelFiles, rewardWeights } from "./export";
import { type PairTexts, readPairTexts } from "./pair-texts";
import { drawPairs } from "./pairs";
import { refuseUnlessFits } from "./refuse";
import { pick, readSplits, type Split, type Splits } from "./rows";
import { batchLimits, Sampler, samplerState } from "./sampler";
import { type RewardReader, readRewards } from "./score";
import type { StageInput, StageOutcome } from "./stage";
import { type Ended, runBody, type StageBody, StageRun, totalSteps, trainedFigures, trainSteps } from "./stage-run";
import { rewardTrainer } from "./stage-trainers";
import { type Extent, rewardState } from "./state";
import { stream } from "./streams";
import { Trainer } from "./trainer";

/** Training rows on which a pairwise model's threshold is fitted: enough for a cut, few enough for every evaluation. */
const THRESHOLD_ROWS = 256;

/** What `prepare` makes and everything later uses. */
interface Prepared {
  readonly base: BaseModel;
  readonly splits: Splits;
  /** Imported ones; the labelled rows then only judge. */
  readonly pairs: PairTexts | null;
  readonly trainer: Trainer;
  readonly reader: RewardReader;
  readonly sampler: Sampler;
  readonly baselines: Baselines;
  readonly truncated_rows: number;
}

/** The validation rows as they were last scored. */
interface Evaluation {
  readonly step: number;
  readonly scored: Scored;
  readonly threshold: number;
  readonly metrics: Metrics;
}

/** Runs the stage: see runBody. */
export async function runRewardStage(input: StageInput<RewardStageConfig>): Promise<StageOutcome> {
  const run = new StageRun(input);
  return runBody(run, new RewardStage(run));
}

class RewardStage implements StageBody {
  private prepared: Prepared | null = null;
  private evaluation: Evaluation | null = null;
  /** Of the last evaluation, kept over a resume. */
  private threshold = 0;

  constructor(private readonly run: StageRun<RewardStageConfig>) {}

  /** Loads, checks, measures the baselines, and puts the model (of the seed, or of the checkpoint) on the GPU. */
  async prepare(): Promise<void> {
    const { run } = this;
    const { config, input, seed } = run;
    const { objective } = config;
    const head = { kind: "reward", num_labels: LABELS[objective] } as const;
    const base = await loadBase(input.model, input.config, { slot: config.model, head, adapter: input.adapter });
    const maxLength = Math.min(config.max_length, base.config.max_position_embeddings);
    const splits = await readSplits(input.data, base.tokenizer, { maxLength, rows: config.rows, seed });
    const { train, validation, test } = splits;
    const rows = [train, validation, ...(test ? [test] : [])];
    const pairs = input.pairs ? await readPairTexts(input.pairs, base.tokenizer, { maxLength, seed }) : null;
    const learnt = pairs ?? train;
    const checkpoint = await run.loadCheckpoint(rewardState, extent(learnt));
    const baselines = checkpoint?.state.baselines ?? (await fitBaselines(splits));
    const limits = batchLimits(pairs ? [...rows, pairs] : rows, objective, config.per_device_train_batch_size);
    await refuseUnlessFits(input, { limits });
    const trainer = await run.guard.wait(
      Trainer.create(input.gpu, base.config, base.tensors, rewardTrainer(config, limits, seed)),
    );
    const sampler = new Sampler(pairs ? { ...pairs, labels: new Uint8Array() } : train, {
      objective,
      pairs: pairs?.train,
      seed,
      batch_size: config.per_device_train_batch_size,
      accumulation: config.gradient_accumulation_steps,
      limits,
    });
    const { steps_per_epoch } = sampler;
    run.total_steps = totalSteps(config, steps_per_epoch);
    const truncated_rows = rows.reduce(
      (sum, split) => sum + split.truncated.filter(Boolean).length,
      pairs?.truncated ?? 0,
    );
    const reader = { trainer, guard: run.guard, objective, limits };
    this.prepared = { base, splits, pairs, trainer, reader, sampler, baselines, truncated_rows };
    const parameters = countParameters(neoxParameterShapes(base.config, head));
    run.emit({
      type: "prepared",
      total_steps: run.total_steps,
      steps_per_epoch,
      parameters,
      trainable_parameters: trainer.store.trainedCount,
      train_rows: pairs?.train.length ?? train.rows.length,
      validation_rows: validation.rows.length,
      test_rows: test?.rows.length ?? 0,
      truncated_rows,
      baselines: baselines.validation,
      adapter: input.gpu.adapterName,
      gpu_bytes: trainer.memory.bytes,
    });
    if (!checkpoint) return;
    await run.guard.wait(trainer.importState(checkpoint.tensors));
    sampler.restore(checkpoint.state.sampler);
    this.threshold = checkpoint.state.threshold;
    run.resumed();
  }

  work(): Promise<Ended> {
    const { sampler, trainer } = this.ready();
    return trainSteps(this.run, {
      trainer,
      steps_per_epoch: sampler.steps_per_epoch,
      nextBatch: () => sampler.next(),
      evaluate: async (step) => void (await this.evaluate(step)),
      checkpoint: (step) => this.checkpoint(step),
    });
  }

  /** The test rows, the model as others load it, and everything that is said once. */
  async conclude(): Promise<void> {
    const { config, progress, input } = this.run;
    const { base, splits, baselines, sampler, trainer, truncated_rows } = this.ready();
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
    const metrics: Metrics = {
      ...final,
      ...(baselines.test ?? validation),
      eval_majority_accuracy: validation.majority_accuracy,
      eval_ngram_accuracy: validation.ngram_accuracy,
      eval_ngram_auc: validation.ngram_auc,
      ...trainedFigures(this.run, sampler.steps_per_epoch),
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
    const { weights } = await this.run.guard.wait(trainer.exportState());
    const tensors = rewardWeights(base.tensors, weights, config);
    const model = { base, tensors, threshold: this.threshold };
    await input.saveArtefact("reward_model", await rewardModelFiles(config, model));
    this.run.finish(metrics, { calibration: calibration(scored, threshold), samples });
  }

  release(): void {
    this.prepared?.trainer.destroy();
  }

  private ready(): Prepared {
    if (!this.prepared) throw new Error("prepare() comes first");
    return this.prepared;
  }

  /** The rewards of a split. A model that gives one that is not finite has diverged. */
  private async scored(split: Split, step: number): Promise<Scored> {
    const { labels, lengths } = split;
    const rewards = await readRewards(this.ready().reader, split.ids);
    if (!rewards.every(Number.isFinite)) throw this.run.divergence(step, "reward");
    const pairs = this.run.config.objective === "pairwise" ? drawPairs(labels, stream(this.run.seed, "pairs")) : [];
    return { rewards, labels, lengths, pairs };
  }

  private async evaluate(step: number): Promise<Evaluation> {
    const { splits } = this.ready();
    const scored = await this.scored(splits.validation, step);
    const threshold = this.run.config.objective === "pairwise" ? await this.trainThreshold(step) : 0;
    const metrics = {
      ...evaluationMetrics("eval", scored, this.run.config.objective, threshold),
      ...(await this.heldBack(step)),
    };
    this.threshold = threshold;
    this.evaluation = { step, scored, threshold, metrics };
    this.run.emit({ type: "eval", step, metrics });
    return this.evaluation;
  }

  /** Figures of imported pairs that are not trained on: they replace those of pairs drawn from the labels. */
  private async heldBack(step: number): Promise<Metrics> {
    const { pairs, reader } = this.ready();
    if (!pairs || pairs.validation.length === 0) return {};
    const texts = pairs.validation.flatMap(({ chosen, rejected }) => [pairs.ids[chosen], pairs.ids[rejected]]);
    const rewards = await readRewards(
      reader,
      texts.filter((ids) => ids !== undefined),
    );
    if (!rewards.every(Number.isFinite)) throw this.run.divergence(step, "reward");
    const own = pairs.validation.map((_, index) => ({ chosen: 2 * index, rejected: 2 * index + 1 }));
    return pairMetrics("eval", rewards, own);
  }

  /** Pairwise rewards are fixed up to a constant only: where positive begins is asked of a few training rows. */
  private async trainThreshold(step: number): Promise<number> {
    const { train } = this.ready().splits;
    const all = Array.from(train.rows, (_, index) => index);
    const some = stream(this.run.seed, "threshold").shuffle(all).slice(0, THRESHOLD_ROWS);
    const { rewards, labels } = await this.scored(pick(train, some), step);
    return bestThreshold(rewards, labels);
  }

  private checkpoint(step: number): Promise<void> {
    const { trainer, sampler, baselines, splits, pairs } = this.ready();
    return this.run.saveCheckpoint(step, trainer, extent(pairs ?? splits.train), {
      sampler: samplerState.parse(sampler.state()),
      baselines,
      threshold: this.threshold,
    });
  }
}

function extent({ lengths }: Pick<Split, "lengths">): Extent {
  return { rows: lengths.length, tokens: lengths.reduce((sum, length) => sum + length, 0) };
}
