/**
 * The DPO stage: a language model learns from pairs which of two answers is preferred, without a reward model and without
 * writing anything. The policy is an adapter, the reference the same weights without it. The parts: dpo-pairs.ts (pairs,
 * order), rl/preference.ts (figures), text-samples.ts (what it writes), stage-run.ts (states, checkpoints).
 */
import { NagiError } from "../../../src/shared/errors";
import type { DpoStageConfig } from "../../../src/shared/protocol/config";
import type { Metrics } from "../../../src/shared/protocol/events";
import { parseDataset } from "../data/formats";
import { countParameters, neoxParameterShapes } from "../model/shapes";
import { type BaseModel, loadBase } from "./base";
import { PairSampler, pairLimits, pairLogps, readPairs, tokensOf, type WeighedPair, weighPairs } from "./dpo-pairs";
import { adapterFiles } from "./output";
import { refuseUnlessFits } from "./refuse";
import { type PairLogps, preferenceMetrics } from "./rl/preference";
import { cursorState } from "./sampler";
import type { StageInput, StageOutcome } from "./stage";
import { type Ended, runBody, type StageBody, StageRun, totalSteps, trainedFigures, trainSteps } from "./stage-run";
import { dpoTrainer } from "./stage-trainers";
import { type Extent, stageState } from "./state";
import { TextSamples } from "./text-samples";
import { type PackedBatch, type StepResult, Trainer } from "./trainer";

const dpoState = stageState({ sampler: cursorState });

interface Prepared {
  readonly base: BaseModel;
  readonly trainer: Trainer;
  readonly sampler: PairSampler;
  readonly validation: readonly WeighedPair[];
  readonly limits: ReturnType<typeof pairLimits>;
  readonly samples: TextSamples;
  readonly extent: Extent;
  readonly truncated: number;
}

/** Runs the stage: see runBody. */
export async function runDpoStage(input: StageInput<DpoStageConfig>): Promise<StageOutcome> {
  const run = new StageRun(input);
  return runBody(run, new DpoStage(run));
}

class DpoStage implements StageBody {
  private prepared: Prepared | null = null;
  private trainer: Trainer | null = null;
  private evaluation: Metrics | null = null;

  constructor(private readonly run: StageRun<DpoStageConfig>) {}

  async prepare(): Promise<void> {
    const { run } = this;
    const { config, input, seed, guard } = run;
    const head = { kind: "causal-lm" } as const;
    const base = await loadBase(input.model, input.config, { slot: config.model, head, adapter: input.adapter });
    const maxLength = Math.min(config.max_length, base.config.max_position_embeddings);
    const pairs = await readPairs(input, config, base.tokenizer, { seed, maxLength });
    if (pairs.train.length === 0) throw nothingLeft(input, maxLength);
    const extent = { rows: pairs.train.length, tokens: pairs.train.reduce((sum, pair) => sum + tokensOf(pair), 0) };
    const checkpoint = await run.loadCheckpoint(dpoState, extent);
    const batch_size = config.per_device_train_batch_size;
    const limits = pairLimits(pairs, batch_size);
    await refuseUnlessFits(input, { limits });
    const trainer = await guard.wait(
      Trainer.create(input.gpu, base.config, base.tensors, dpoTrainer(config, limits, seed)),
    );
    this.trainer = trainer;
    const tools = { trainer, guard, limits };
    // In a fixed order, so that a resumed run has the same numbers to the last bit.
    const train = await weighPairs(pairs.train, tools);
    const validation = await weighPairs(pairs.validation, tools);
    const accumulation = config.gradient_accumulation_steps;
    const sampler = new PairSampler(train, { seed, batch_size, accumulation, limits });
    const { rows } = parseDataset(input.data.validation.bytes, input.data.validation.name);
    const samples = new TextSamples(run, { base, store: trainer.store, texts: rows.map(({ sentence }) => sentence) });
    const { truncated } = pairs;
    this.prepared = { base, trainer, sampler, validation, limits, samples, extent, truncated };
    const { steps_per_epoch } = sampler;
    run.total_steps = totalSteps(config, steps_per_epoch);
    run.emit({
      type: "prepared",
      total_steps: run.total_steps,
      steps_per_epoch,
      parameters: countParameters(neoxParameterShapes(base.config, head)),
      trainable_parameters: trainer.store.trainedCount,
      train_rows: train.length,
      validation_rows: validation.length,
      test_rows: 0,
      truncated_rows: truncated,
      baselines: null,
      adapter: input.gpu.adapterName,
      gpu_bytes: trainer.memory.bytes,
    });
    if (!checkpoint) return;
    await guard.wait(trainer.importState(checkpoint.tensors));
    sampler.restore(checkpoint.state.sampler);
    run.resumed();
  }

  work(): Promise<Ended> {
    const { sampler, trainer } = this.ready();
    return trainSteps(this.run, {
      trainer,
      steps_per_epoch: sampler.steps_per_epoch,
      nextBatch: () => sampler.next(),
      describe: (batches, result) => this.stepMetrics(batches, result),
      evaluate: async (step) => void (await this.evaluate(step)),
      checkpoint: (step) => this.checkpoint(step),
    });
  }

  async conclude(): Promise<void> {
    const { config, progress, input, guard } = this.run;
    const { base, sampler, trainer, truncated } = this.ready();
    // A run that is resumed after its last step has weights but no evaluation.
    const evaluation = this.evaluation ?? (await this.evaluate(progress.step));
    const { weights } = await guard.wait(trainer.exportState());
    const from = { slot: config.model, run: input.config };
    await input.saveArtefact("adapter", adapterFiles(base, weights, config.peft, from));
    this.run.finish(
      {
        ...evaluation,
        ...trainedFigures(this.run, sampler.steps_per_epoch),
        truncated_rows: truncated,
      },
      {},
    );
  }

  release(): void {
    this.prepared?.samples.destroy();
    this.trainer?.destroy();
  }

  private ready(): Prepared {
    if (!this.prepared) throw new Error("prepare() comes first");
    return this.prepared;
  }

  /** TRL's figures of one step, from the log-probabilities its forward pass came to. */
  private stepMetrics(batches: readonly PackedBatch[], { outputs = [] }: StepResult): Metrics {
    const logps: Record<keyof PairLogps, number[]> = {
      chosen: [],
      rejected: [],
      reference_chosen: [],
      reference_rejected: [],
    };
    for (const [index, batch] of batches.entries()) {
      const policy = outputs[index]?.logps ?? new Float32Array();
      const reference = batch.reference_logps ?? new Float32Array();
      const half = policy.length / 2;
      logps.chosen.push(...policy.subarray(0, half));
      logps.rejected.push(...policy.subarray(half));
      logps.reference_chosen.push(...reference.subarray(0, half));
      logps.reference_rejected.push(...reference.subarray(half));
    }
    // The loss is the optimizer's own.
    const { loss: _, ...metrics } = preferenceMetrics(logps, this.run.config);
    return metrics;
  }

  private async evaluate(step: number): Promise<Metrics> {
    const { run } = this;
    const { trainer, validation, limits, samples } = this.ready();
    const policy = await pairLogps(validation, { trainer, guard: run.guard, limits }, true);
    const plain = preferenceMetrics(
      {
        ...policy,
        reference_chosen: validation.map(({ reference_chosen }) => reference_chosen),
        reference_rejected: validation.map(({ reference_rejected }) => reference_rejected),
      },
      run.config,
    );
    // A single pair is all trained on: then there is nothing to evaluate.
    const metrics: Metrics = Object.fromEntries(
      Object.entries(plain).map(([key, value]) => [`eval_${key}`, validation.length === 0 ? null : value]),
    );
    for (const [key, value] of Object.entries(metrics))
      if (value !== null && !Number.isFinite(value)) throw run.divergence(step, key);
    this.evaluation = metrics;
    run.emit({ type: "eval", step, metrics });
    await samples.write(step);
    return metrics;
  }

  private checkpoint(step: number): Promise<void> {
    const { trainer, sampler, extent } = this.ready();
    return this.run.saveCheckpoint(step, trainer, extent, { sampler: cursorState.parse(sampler.state()) });
  }
}

function nothingLeft({ pairs, data }: StageInput<DpoStageConfig>, maxLength: number): NagiError {
  const file = pairs?.name ?? data.train.name;
  return new NagiError(
    "data.empty",
    `${file}: no pair has room for an answer within max_length ${maxLength}. Raise max_length or shorten the prompts.`,
    { file },
  );
}
