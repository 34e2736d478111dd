/**
 * The merge stage: an adapter is folded into the model it was trained on, in the model's own type. Real texts go through
 * the adapter beside its base and through the stored result; how far their logits differ is the stage's figure.
 */
import type { MergeStageConfig } from "../../../src/shared/protocol/config";
import { encodeTexts, packTexts } from "../data/batches";
import { parseDataset } from "../data/formats";
import type { FloatDtype } from "../io/dtype";
import { describeModel } from "../io/hf-model";
import { loadAdapter } from "../io/peft";
import { MapSource } from "../io/source";
import type { TensorValues } from "../io/tensors";
import type { LoraOptions } from "../model/lora";
import { countParameters, neoxParameterShapes } from "../model/shapes";
import { type BaseModel, loadMerged, loadWeights } from "./base";
import { languageModelFiles } from "./output";
import { refuseUnlessFits } from "./refuse";
import type { StageInput, StageOutcome } from "./stage";
import { type Ended, runBody, type StageBody, StageRun } from "./stage-run";
import { MERGE_TOKENS, mergeTrainer } from "./stage-trainers";
import { type PackedBatch, Trainer } from "./trainer";

/** Validation texts that are compared: enough for every layer to show, few enough to take seconds. */
const TEXTS = 16;

const HEAD = { kind: "causal-lm" } as const;
const MERGED = { kind: "merged", change: "A LoRA adapter was folded into the weights." } as const;

interface Prepared {
  readonly merged: BaseModel;
  readonly dtype: FloatDtype;
  readonly batches: readonly PackedBatch[];
}

/** Runs the stage: see runBody. */
export async function runMergeStage(input: StageInput<MergeStageConfig>): Promise<StageOutcome> {
  const run = new StageRun(input);
  return runBody(run, new MergeStage(run));
}

/** Sums over compared logits. */
class Deviation {
  private most = 0;
  private sum = 0;
  private count = 0;

  add(one: Float32Array, other: Float32Array): void {
    for (const [index, value] of one.entries()) {
      const difference = Math.abs(value - (other[index] ?? Number.NaN));
      // Not Math.max alone: NaN must stay.
      if (!(difference <= this.most)) this.most = difference;
      this.sum += difference;
    }
    this.count += one.length;
  }

  get max(): number {
    return this.most;
  }

  get mean(): number {
    return this.sum / this.count;
  }
}

class MergeStage implements StageBody {
  private prepared: Prepared | null = null;

  constructor(private readonly run: StageRun<MergeStageConfig>) {}

  async prepare(): Promise<void> {
    const { run } = this;
    const { input } = run;
    const { model, adapter } = input;
    if (!adapter) throw new Error("the adapter slot names an adapter");
    const merged = await loadMerged(model, adapter);
    const { dtype } = await describeModel(model);
    const { name, bytes } = input.data.validation;
    const rows = parseDataset(bytes, name, { requireBothLabels: false }).rows.slice(0, TEXTS);
    const maxLength = Math.min(MERGE_TOKENS, merged.config.max_position_embeddings);
    const { ids } = await encodeTexts(
      merged.tokenizer,
      rows.map(({ sentence }) => sentence),
      maxLength,
    );
    await refuseUnlessFits(input, {});
    this.prepared = {
      merged,
      dtype: dtype === "F16" || dtype === "BF16" ? dtype : "F32",
      batches: ids.map((one) => packTexts([one], { targets: true })),
    };
    run.total_steps = 1;
    run.emit({
      type: "prepared",
      total_steps: 1,
      steps_per_epoch: 1,
      parameters: countParameters(neoxParameterShapes(merged.config, HEAD)),
      trainable_parameters: 0,
      train_rows: 0,
      validation_rows: rows.length,
      test_rows: 0,
      truncated_rows: 0,
      baselines: null,
      adapter: input.gpu.adapterName,
      gpu_bytes: 0,
    });
  }

  async work(): Promise<Ended> {
    const wanted = this.run.input.control.state();
    return wanted === "run" ? "finished" : wanted === "pause" ? "paused" : "stopped";
  }

  async conclude(): Promise<void> {
    const { run } = this;
    const { merged, dtype, batches } = this.ready();
    const files = await languageModelFiles(merged, merged.tensors, MERGED, dtype);
    const before = await this.beside(true);
    const without = await this.beside(false);
    // What was stored, its rounding included.
    const after = await this.logits(await loadWeights(new MapSource("merged", files), HEAD), undefined);
    const [deviation, effect] = [new Deviation(), new Deviation()];
    for (const [index, logits] of before.entries()) {
      deviation.add(logits, after[index] ?? new Float32Array());
      effect.add(logits, without[index] ?? new Float32Array());
    }
    if (!Number.isFinite(deviation.max)) throw run.divergence(0, "logits");
    run.progress.step = 1;
    await run.input.saveArtefact("model", files);
    run.finish(
      {
        texts: batches.length,
        tokens: batches.reduce((sum, { input_ids }) => sum + input_ids.length, 0),
        logits_max_deviation: deviation.max,
        logits_mean_deviation: deviation.mean,
        adapter_max_effect: effect.max,
        adapter_mean_effect: effect.mean,
      },
      {},
    );
  }

  release(): void {
    this.prepared = null;
  }

  private ready(): Prepared {
    if (!this.prepared) throw new Error("prepare() comes first");
    return this.prepared;
  }

  /** Logits of the base with its adapter beside it, or switched off. */
  private async beside(on: boolean): Promise<Float32Array[]> {
    const { model, adapter } = this.run.input;
    if (!adapter) throw new Error("the adapter slot names an adapter");
    const base = await loadWeights(model, HEAD);
    const { lora, tensors } = await loadAdapter(adapter, base.config, HEAD);
    return this.logits({ ...base, tensors: new Map<string, TensorValues>([...base.tensors, ...tensors]) }, lora, on);
  }

  /** [tokens, vocabulary] of every text. */
  private async logits(
    { config, tensors }: BaseModel,
    lora: LoraOptions | undefined,
    adapter = true,
  ): Promise<Float32Array[]> {
    const { guard, input } = this.run;
    const trainer = await guard.wait(Trainer.create(input.gpu, config, tensors, mergeTrainer(lora)));
    try {
      const all: Float32Array[] = [];
      for (const batch of this.ready().batches) {
        const { logits } = await guard.wait(trainer.forward(batch, { logits: true, adapter }));
        if (!logits) throw new Error("logits were asked for");
        all.push(logits);
      }
      return all;
    } finally {
      trainer.destroy();
    }
  }
}
