/**
 * The evaluate stage: the beginnings of held-out texts are continued by several models with the same settings and random
 * numbers, and judged by reward models. One model is on the GPU at a time; the first, which the others are held against,
 * comes last, so that it also says how likely it finds what the others wrote. The parts: prompts.ts, generator.ts,
 * evaluation.ts (figures), scorer.ts (rewards).
 */
import { NagiError } from "../../../src/shared/errors";
import type { Generation } from "../../../src/shared/protocol/artefact";
import type { EvaluateStageConfig } from "../../../src/shared/protocol/config";
import { parseDataset } from "../data/formats";
import { loadAdapter } from "../io/peft";
import type { TensorValues } from "../io/tensors";
import { countParameters, neoxParameterShapes } from "../model/shapes";
import { type BaseDescription, type BaseModel, describeBase, loadBase } from "./base";
import { type Completion, completionOf, packCompletions } from "./completions";
import { evaluationFigures, evaluationFiles, type ModelTexts } from "./evaluation";
import { Generator } from "./generator";
import { drawPrompts, type Prompt, writtenText } from "./prompts";
import { refuseUnlessFits } from "./refuse";
import { fittingRuns } from "./score";
import { RewardScorer } from "./scorer";
import type { StageInput, StageModel, StageOutcome } from "./stage";
import { type Ended, runBody, type StageBody, StageRun } from "./stage-run";
import { evaluatedCache, evaluatedTrainer } from "./stage-trainers";
import { seedOf, stream } from "./streams";
import { Trainer } from "./trainer";

const HEAD = { kind: "causal-lm" } as const;

/** What one model wrote. */
interface Written {
  readonly model: string;
  /** New tokens, EOS included. */
  readonly ids: readonly Int32Array[];
  readonly finished: readonly boolean[];
  /** Log-probability of each continuation under the model itself, and under the first. */
  readonly own: Float64Array;
  first: Float64Array | null;
}

interface Prepared {
  readonly tokenizer: BaseDescription["tokenizer"];
  readonly vocabulary: number;
  readonly prompts: readonly Prompt[];
  /** Tokens of the longest of them. */
  readonly max_prompt: number;
  readonly max_length: number;
}

/** Runs the stage: see runBody. A pause gives up what was written; the same numbers write it again. */
export async function runEvaluateStage(input: StageInput<EvaluateStageConfig>): Promise<StageOutcome> {
  const run = new StageRun(input);
  return runBody(run, new EvaluateStage(run));
}

class EvaluateStage implements StageBody {
  private prepared: Prepared | null = null;
  private readonly written = new Map<number, Written>();
  private readonly owned: { destroy(): void }[] = [];

  constructor(private readonly run: StageRun<EvaluateStageConfig>) {}

  async prepare(): Promise<void> {
    const { run } = this;
    const { config, input, seed } = run;
    const [first] = input.models;
    if (!first) throw new Error("an evaluation has a model");
    const file = input.data[config.split];
    if (!file)
      throw new NagiError("data.empty", `There are no ${config.split} rows. Name a file, or evaluate on validation.`, {
        file: config.split,
      });
    const { tokenizer, config: neox } = await describeBase(first.model);
    const texts = parseDataset(file.bytes, file.name, { requireBothLabels: false }).rows.map(
      ({ sentence }) => sentence,
    );
    const prompts = drawPrompts(tokenizer, texts, config.prompt, config.num_prompts, stream(seed, "prompts"));
    if (prompts.length === 0)
      throw new NagiError("data.empty", `${file.name}: no text has a beginning to go on from.`, { file: file.name });
    const max_prompt = prompts.reduce((most, { ids }) => Math.max(most, ids.length), 0);
    const max_length = Math.min(max_prompt + config.generation.max_new_tokens, neox.max_position_embeddings);
    await refuseUnlessFits(input, { prompts: prompts.length, prompt: max_prompt });
    this.prepared = { tokenizer, vocabulary: neox.vocab_size, prompts, max_prompt, max_length };
    run.total_steps = prompts.length * input.models.length;
    run.emit({
      type: "prepared",
      total_steps: run.total_steps,
      steps_per_epoch: prompts.length,
      parameters: countParameters(neoxParameterShapes(neox, HEAD)),
      trainable_parameters: 0,
      train_rows: 0,
      validation_rows: config.split === "validation" ? texts.length : 0,
      test_rows: config.split === "test" ? texts.length : 0,
      truncated_rows: 0,
      baselines: null,
      adapter: input.gpu.adapterName,
      gpu_bytes: 0,
    });
  }

  async work(): Promise<Ended> {
    const { models, control } = this.run.input;
    for (const [index, model] of [...models.entries()].reverse()) {
      const wanted = control.state();
      if (wanted !== "run") return wanted === "pause" ? "paused" : "stopped";
      await this.oneModel(index, model);
    }
    return "finished";
  }

  async conclude(): Promise<void> {
    const { run } = this;
    const { input, config, seed } = run;
    const { prompts, tokenizer } = this.ready();
    const models = [...this.written].sort(([a], [b]) => a - b).map(([, written]) => written);
    const texts = models.map(({ ids }) =>
      prompts.map((prompt, item) => writtenText(tokenizer, prompt, ids[item] ?? new Int32Array())),
    );
    const rewards = await this.rewards(texts.flat().map(({ whole }) => whole));
    const all = models.map(({ model, ids, finished, own, first }, which): ModelTexts => {
      const generations = prompts.map((prompt, item): Generation => {
        const text = texts[which]?.[item]?.text ?? "";
        const at = which * prompts.length + item;
        return {
          item,
          prompt: prompt.text,
          model,
          text,
          tokens: ids[item]?.length ?? 0,
          finished: finished[item] ?? false,
          rewards: Object.fromEntries(config.reward_models.map((judge, k) => [judge, rewards[k]?.[at] ?? null])),
          kl: first === null ? null : (own[item] ?? Number.NaN) - (first[item] ?? Number.NaN),
          length: [...text].length,
        };
      });
      const plain = ids.map((one, item) => (finished[item] ? one.subarray(0, -1) : one));
      return { model, generations, ids: plain };
    });
    const metrics = evaluationFigures(all, config.reward_models, input.config.seed);
    for (const [key, value] of Object.entries(metrics))
      if (value !== null && !Number.isFinite(value)) throw run.divergence(run.progress.step, key);
    run.emit({ type: "eval", step: run.progress.step, metrics });
    await input.saveArtefact(
      "generations",
      evaluationFiles(
        all.flatMap(({ generations }) => generations),
        metrics,
      ),
    );
    const shown = all.at(-1)?.generations.slice(0, 8) ?? [];
    const samples = shown.map(({ prompt, text, rewards: judged, tokens, finished }) => ({
      prompt,
      text,
      reward: judged[config.reward_models[0] ?? ""] ?? null,
      tokens,
      finished,
    }));
    run.emit({ type: "samples", step: run.progress.step, texts: samples });
    run.finish({ ...metrics, seed }, {});
  }

  release(): void {
    for (const one of this.owned.splice(0).reverse()) one.destroy();
  }

  private ready(): Prepared {
    if (!this.prepared) throw new Error("prepare() comes first");
    return this.prepared;
  }

  private async own<T extends { destroy(): void }>(making: Promise<T>): Promise<T> {
    const made = await this.run.guard.wait(making);
    this.owned.push(made);
    return made;
  }

  /** Writes with one model, measures how likely it finds its own texts, and if it is the first the others' as well. */
  private async oneModel(index: number, { name, model, adapter }: StageModel): Promise<void> {
    const { run } = this;
    const { input, config, guard, progress } = run;
    const { prompts, max_prompt, max_length, tokenizer, vocabulary } = this.ready();
    const base = await loadBase(model, input.config, { slot: name, head: HEAD, adapter: null });
    const { tensors, lora } = await withAdapter(base, adapter);
    const options = evaluatedTrainer(max_length, lora);
    const limits = { max_tokens: options.max_tokens, max_texts: options.max_texts };
    const trainer = await this.own(Trainer.create(input.gpu, base.config, tensors, options));
    const cache = evaluatedCache(prompts.length, max_length, max_prompt);
    const generator = await this.own(Generator.create(input.gpu, base.config, trainer.store, cache));
    const started = input.clock();
    const { ids, finished } = await guard.wait(
      generator.generate(
        prompts.map((prompt) => prompt.ids),
        { ...config.generation, seed: seedOf(run.seed, "samples", 0), eos_token_id: tokenizer.eosId },
      ),
    );
    const tokens = ids.reduce((sum, one) => sum + one.length, 0);
    const seconds = (input.clock() - started) / 1000;
    const logps = (written: readonly Int32Array[]) =>
      completionLogps(
        prompts.map((prompt, item) => completionOf(prompt.ids, written[item] ?? new Int32Array())),
        { forward: (batch) => guard.wait(trainer.forward(batch)), limits },
      );
    this.written.set(index, { model: name, ids, finished, own: await logps(ids), first: null });
    if (index === 0)
      for (const [which, other] of this.written) {
        // Tokens of another vocabulary mean something else to the first model.
        const same = which === 0 || base.config.vocab_size === vocabulary;
        if (same) other.first = which === 0 ? other.own : await logps(other.ids);
      }
    progress.step += prompts.length;
    progress.num_tokens += tokens;
    progress.train_seconds += seconds;
    run.emit({
      type: "log",
      step: progress.step,
      metrics: { num_tokens: progress.num_tokens, tokens_per_second: seconds > 0 ? tokens / seconds : null },
    });
    this.release();
  }

  /** By reward model: the rewards of all texts. */
  private async rewards(texts: readonly string[]): Promise<number[][]> {
    const all: number[][] = [];
    for (const model of this.run.input.reward_models) {
      const scorer = await this.own(RewardScorer.load({ gpu: this.run.input.gpu, model }));
      all.push((await scorer.score(texts)).map(({ reward }) => reward));
      this.release();
    }
    return all;
  }
}

async function withAdapter(base: BaseModel, adapter: StageModel["adapter"]) {
  if (!adapter) return { tensors: base.tensors, lora: undefined };
  const { lora, tensors } = await loadAdapter(adapter, base.config, HEAD);
  return { tensors: new Map<string, TensorValues>([...base.tensors, ...tensors]), lora };
}

/** Log-probability in nats of every continuation, EOS included where it was written. */
async function completionLogps(
  completions: readonly Completion[],
  tools: {
    readonly forward: Trainer["forward"];
    readonly limits: { readonly max_tokens: number; readonly max_texts: number };
  },
): Promise<Float64Array> {
  const all = new Float64Array(completions.length);
  const lengths = completions.map(({ ids }) => ids.length);
  for (const [first, end] of fittingRuns(lengths, tools.limits, true)) {
    const some = completions.slice(first, end);
    const [copy] = some;
    if (some.length % 2 !== 0 && copy) some.push(copy);
    const { logps } = await tools.forward(packCompletions(some));
    if (!logps) throw new Error("log-probabilities were asked for");
    all.set(logps.subarray(0, end - first), first);
  }
  return all;
}
