/**
 * The SFT stage: a language model goes on learning, from the rows' texts in a template. Everything is loaded and checked
 * first; then it trains, evaluates, writes samples and checkpoints; at the end the adapter, or the whole model, is handed
 * over. The parts: base.ts (weights), language-rows.ts (texts and packing), row-sampler.ts (order), language-eval.ts
 * (figures), text-samples.ts (what it writes), stage-run.ts (states, checkpoints).
 */
import type { SftStageConfig } from "../../../src/shared/protocol/config";
import type { Metrics } from "../../../src/shared/protocol/events";
import { countParameters, neoxParameterShapes } from "../model/shapes";
import { type BaseModel, loadBase } from "./base";
import { languageMetrics, meanLoss } from "./language-eval";
import { type LanguageRows, readLanguageRows } from "./language-rows";
import { adapterFiles, languageModelFiles } from "./output";
import { refuseUnlessFits } from "./refuse";
import { groupRows, packGroup, RowSampler, rowSamplerState, rowTokens } from "./row-sampler";
import type { StageInput, StageOutcome } from "./stage";
import { type Ended, runBody, type StageBody, StageRun, totalSteps, trainedFigures, trainSteps } from "./stage-run";
import { sftTrainer } from "./stage-trainers";
import { stageState } from "./state";
import { TextSamples } from "./text-samples";
import { Trainer } from "./trainer";

const sftState = stageState({ sampler: rowSamplerState });

interface Prepared {
  readonly base: BaseModel;
  readonly data: LanguageRows;
  readonly trainer: Trainer;
  readonly sampler: RowSampler;
  readonly samples: TextSamples;
}

/** Runs the stage: see runBody. */
export async function runSftStage(input: StageInput<SftStageConfig>): Promise<StageOutcome> {
  const run = new StageRun(input);
  return runBody(run, new SftStage(run));
}

class SftStage implements StageBody {
  private prepared: Prepared | null = null;
  private trainer: Trainer | null = null;
  private evaluation: Metrics | null = null;

  constructor(private readonly run: StageRun<SftStageConfig>) {}

  async prepare(): Promise<void> {
    const { run } = this;
    const { config, input, seed } = run;
    const head = { kind: "causal-lm" } as const;
    const base = await loadBase(input.model, input.config, { slot: config.model, head, adapter: input.adapter });
    const data = await readLanguageRows(input.data, config, base);
    const { train, validation } = data;
    const extent = { rows: data.train_rows, tokens: train.reduce((sum, { tokens }) => sum + tokens, 0) };
    const checkpoint = await run.loadCheckpoint(sftState, extent);
    const sampler = new RowSampler(train, {
      seed,
      batch_size: config.per_device_train_batch_size,
      accumulation: config.gradient_accumulation_steps,
    });
    const max_tokens = Math.max(sampler.max_tokens, rowTokens(validation, config.per_device_train_batch_size));
    await refuseUnlessFits(input, { limits: { max_tokens, max_texts: max_tokens } });
    const trainer = await run.guard.wait(
      Trainer.create(input.gpu, base.config, base.tensors, sftTrainer(config, max_tokens, seed)),
    );
    this.trainer = trainer;
    const samples = new TextSamples(run, { base, store: trainer.store, texts: data.validation_texts });
    this.prepared = { base, data, trainer, sampler, samples };
    const { steps_per_epoch } = sampler;
    run.total_steps = totalSteps(config, steps_per_epoch);
    run.emit({
      type: "prepared",
      total_steps: run.total_steps,
      steps_per_epoch,
      parameters: countParameters(neoxParameterShapes(base.config, head)),
      trainable_parameters: trainer.store.trainedCount,
      train_rows: data.train_rows,
      validation_rows: data.validation_rows,
      test_rows: 0,
      truncated_rows: data.truncated_rows,
      baselines: null,
      adapter: input.gpu.adapterName,
      gpu_bytes: trainer.memory.bytes,
    });
    if (!checkpoint) return;
    await run.guard.wait(trainer.importState(checkpoint.tensors));
    sampler.restore(checkpoint.state.sampler);
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

  async conclude(): Promise<void> {
    const { config, progress, input, guard } = this.run;
    const { base, data, sampler, trainer } = this.ready();
    // A run that is resumed after its last step has weights but no evaluation.
    const evaluation = this.evaluation ?? (await this.evaluate(progress.step));
    const { weights } = await guard.wait(trainer.exportState());
    const { peft, model: slot } = config;
    if (peft) await input.saveArtefact("adapter", adapterFiles(base, weights, peft, { slot, run: input.config }));
    else
      await input.saveArtefact(
        "model",
        await languageModelFiles(base, weights, { kind: "model", change: "All weights were trained further." }),
      );
    this.run.finish(
      {
        ...evaluation,
        ...trainedFigures(this.run, sampler.steps_per_epoch),
        truncated_rows: data.truncated_rows,
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

  /** Loss and perplexity on the validation rows, each text by itself, however the training rows are packed. */
  private async evaluate(step: number): Promise<Metrics> {
    const { run } = this;
    const { data, trainer, sampler, samples } = this.ready();
    const batches = groupRows(data.validation, sampler.max_tokens).map(packGroup);
    const loss = await meanLoss(trainer, run.guard, batches);
    if (!Number.isFinite(loss)) throw run.divergence(step, "eval_loss");
    const metrics = languageMetrics(loss);
    this.evaluation = metrics;
    run.emit({ type: "eval", step, metrics });
    await samples.write(step);
    return metrics;
  }

  private checkpoint(step: number): Promise<void> {
    const { trainer, sampler, data } = this.ready();
    const tokens = data.train.reduce((sum, row) => sum + row.tokens, 0);
    return this.run.saveCheckpoint(
      step,
      trainer,
      { rows: data.train_rows, tokens },
      { sampler: rowSamplerState.parse(sampler.state()) },
    );
  }
}
