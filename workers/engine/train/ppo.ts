/**
 * The PPO stage: a language model learns to write what a reward model likes, without going far from where it started. Each
 * update continues prompts (ppo-rollout.ts), then takes a few optimizer steps on those texts (ppo-update.ts). The policy
 * is an adapter on the SFT model, the reference the same weights with the adapter switched off. The mathematics is in
 * rl/, states and checkpoints in stage-run.ts.
 */
import { NagiError } from "../../../src/shared/errors";
import type { PpoStageConfig } from "../../../src/shared/protocol/config";
import type { Metrics } from "../../../src/shared/protocol/events";
import { BatchCursor } from "../data/batches";
import { parseDataset } from "../data/formats";
import type { TensorValues } from "../io/tensors";
import { countParameters, freshValueHead, isValueHead, neoxParameterShapes } from "../model/shapes";
import { learningRate } from "../optim/schedule";
import { type BaseModel, loadBase } from "./base";
import { Generator } from "./generator";
import { adapterFiles } from "./output";
import { makeRollout, type RolloutTools, textKl, textMetrics, writeTexts } from "./ppo-rollout";
import { ppoState } from "./ppo-state";
import { ppoLimits, updatePolicy } from "./ppo-update";
import { drawPrompts, type Prompt } from "./prompts";
import { refuseUnlessFits } from "./refuse";
import { adaptKlCoef } from "./rl/kl";
import { mean } from "./rl/ragged";
import { NO_MOMENTS } from "./rl/scores";
import { updateMetrics } from "./rl/update-stats";
import { cursorState, MICRO_BATCH_TOKENS } from "./sampler";
import { RewardScorer } from "./scorer";
import type { StageInput, StageOutcome } from "./stage";
import { type Ended, runBody, type StageBody, StageRun, scheduleOf } from "./stage-run";
import { ppoTrainer, rolloutCache } from "./stage-trainers";
import type { Extent } from "./state";
import { seedOf, stream } from "./streams";
import { Trainer } from "./trainer";

/** What `prepare` makes and everything later uses. */
interface Prepared extends RolloutTools {
  readonly base: BaseModel;
  readonly prompts: readonly Prompt[];
  /** The same at every evaluation. */
  readonly evalPrompts: readonly Prompt[];
  readonly extent: Extent;
}

/** Runs the stage: see runBody. */
export async function runPpoStage(input: StageInput<PpoStageConfig>): Promise<StageOutcome> {
  const run = new StageRun(input);
  return runBody(run, new PpoStage(run));
}

class PpoStage implements StageBody {
  private prepared: Prepared | null = null;
  /** On the GPU, in the order of creation. */
  private readonly owned: { destroy(): void }[] = [];
  private evaluated: Metrics | null = null;
  /** What changes from update to update beside the weights. */
  private cursor: BatchCursor | null = null;
  private klCoef: number;
  private rewards = NO_MOMENTS;
  /** Null before it was measured. */
  private baseline: number | null;

  constructor(private readonly run: StageRun<PpoStageConfig>) {
    const { kl_coef, reward_baseline } = run.config;
    this.klCoef = kl_coef;
    this.baseline = reward_baseline === "auto" ? null : reward_baseline;
  }

  async prepare(): Promise<void> {
    const { run } = this;
    const { config, input, seed } = run;
    const head = { kind: "causal-lm" } as const;
    const base = await loadBase(input.model, input.config, { slot: config.model, head, adapter: input.adapter });
    const [rewardModel] = input.reward_models;
    if (!rewardModel) throw new Error("a PPO stage is given a reward model");
    const { tokenizer } = base;
    const beginnings = (file: StageInput["data"]["train"], count: number, which: "prompts" | "samples") => {
      const texts = parseDataset(file.bytes, file.name).rows.map(({ sentence }) => sentence);
      return drawPrompts(tokenizer, texts, config.prompt, count, stream(seed, which));
    };
    const prompts = beginnings(input.data.train, Number.POSITIVE_INFINITY, "prompts");
    const evalPrompts = beginnings(input.data.validation, config.rollout_batch_size, "samples");
    const lengths = [...prompts, ...evalPrompts].map(({ ids }) => ids.length);
    const longest = Math.max(...lengths);
    refuseTooLong(longest, config, base.config.max_position_embeddings);
    const extent = { rows: prompts.length, tokens: prompts.reduce((sum, { ids }) => sum + ids.length, 0) };
    const checkpoint = await run.loadCheckpoint(ppoState, extent);
    run.total_steps = Math.ceil(config.total_episodes / config.rollout_batch_size);

    const limits = ppoLimits(config, longest, MICRO_BATCH_TOKENS);
    await refuseUnlessFits(input, { prompt: longest });
    const own = async <T extends { destroy(): void }>(made: Promise<T>): Promise<T> => {
      const one = await run.guard.wait(made);
      this.owned.push(one);
      return one;
    };
    const tensors = new Map<string, TensorValues>([...base.tensors, ...freshValueHead(base.config)]);
    const trainer = await own(Trainer.create(input.gpu, base.config, tensors, ppoTrainer(config, limits, seed)));
    const generator = await own(Generator.create(input.gpu, base.config, trainer.store, rolloutCache(config, longest)));
    const scorer = await own(RewardScorer.load({ gpu: input.gpu, model: rewardModel }));
    const { guard } = run;
    this.prepared = { base, trainer, generator, scorer, tokenizer, guard, limits, prompts, evalPrompts, extent };
    this.cursor = new BatchCursor(prompts.length, stream(seed, "order"));
    run.emit({
      type: "prepared",
      total_steps: run.total_steps,
      steps_per_epoch: Math.ceil(prompts.length / config.rollout_batch_size),
      parameters: countParameters(neoxParameterShapes(base.config, head)),
      trainable_parameters: trainer.store.trainedCount,
      train_rows: prompts.length,
      validation_rows: evalPrompts.length,
      test_rows: 0,
      truncated_rows: 0,
      baselines: null,
      adapter: input.gpu.adapterName,
      gpu_bytes: trainer.memory.bytes + generator.bytes + scorer.bytes,
    });
    if (!checkpoint) return;
    await guard.wait(trainer.importState(checkpoint.tensors));
    const { prompts: cursor, kl_coef, reward_baseline, rewards } = checkpoint.state;
    this.cursor = BatchCursor.restore(prompts.length, cursor);
    this.klCoef = kl_coef;
    this.baseline = reward_baseline;
    this.rewards = rewards;
    run.resumed();
  }

  async work(): Promise<Ended> {
    const { run } = this;
    const { config, input, progress, total_steps } = run;
    const early = input.control.state();
    // Nothing was trained since the last checkpoint (or the seed), so there is nothing to store.
    if (early !== "run") return early === "pause" ? "paused" : "stopped";
    if (progress.step === 0) {
      await this.measureBaseline();
      await this.evaluate(0);
    }
    while (progress.step < total_steps) {
      await this.update(progress.step + 1);
      const { step } = progress;
      const last = step === total_steps;
      if (last || step % config.eval_steps === 0) await this.evaluate(step);
      const wanted = input.control.state();
      const asked = input.control.takeCheckpointRequest?.() ?? false;
      if (last || asked || wanted !== "run" || step % config.save_steps === 0) await this.checkpoint(step);
      if (wanted !== "run") return wanted === "pause" ? "paused" : "stopped";
    }
    return "finished";
  }

  async conclude(): Promise<void> {
    const { config, input, progress, guard } = this.run;
    const { base, trainer } = this.ready();
    // A run that is resumed after its last step has weights but no evaluation.
    const evaluation = this.evaluated ?? (await this.evaluate(progress.step));
    const { weights } = await guard.wait(trainer.exportState());
    const adapter = new Map([...weights].filter(([name]) => !isValueHead(name)));
    const from = { slot: config.model, run: input.config };
    await input.saveArtefact("adapter", adapterFiles(base, adapter, config.peft, from));
    const { reward_baseline } = config;
    const texts = config.rollout_batch_size;
    this.run.finish(
      {
        ...evaluation,
        "objective/reward_baseline": this.baseline,
        "objective/kl_coef": this.klCoef,
        episode: progress.step * texts,
        num_tokens: progress.num_tokens,
        train_runtime: progress.train_seconds,
      },
      {
        notes:
          reward_baseline === "auto" ? [{ code: "reward_baseline_auto", values: { value: this.baseline, texts } }] : [],
      },
    );
  }

  release(): void {
    for (const one of this.owned.reverse()) one.destroy();
  }

  private ready(): Prepared {
    if (!this.prepared) throw new Error("prepare() comes first");
    return this.prepared;
  }

  /** What the SFT model's own texts are worth: what is above it is better than before. The policy is still that model. */
  private async measureBaseline(): Promise<void> {
    if (this.baseline !== null) return;
    const { run } = this;
    const tools = this.ready();
    const { config, seed } = run;
    const prompts = stream(seed, "baseline")
      .shuffle([...tools.prompts])
      .slice(0, config.rollout_batch_size);
    const { scores } = await writeTexts(tools, prompts, config, seedOf(seed, "baseline", 0));
    this.baseline = finite(mean(scores), () => run.divergence(0, "objective/scores"));
  }

  /** The prompts of the next rollout, over the end of an epoch. */
  private nextPrompts(): Prompt[] {
    const { prompts } = this.ready();
    const { cursor } = this;
    const wanted = this.run.config.rollout_batch_size;
    const drawn: number[] = [];
    while (cursor && drawn.length < wanted) drawn.push(...cursor.next(wanted - drawn.length));
    return drawn.flatMap((index) => prompts[index] ?? []);
  }

  /** One rollout and the optimizer steps on it. */
  private async update(step: number): Promise<void> {
    const { run, rewards } = this;
    const { config, seed, progress, total_steps, input } = run;
    const tools = this.ready();
    const begun = input.clock();
    const diverged = (metric: string): never => {
      throw run.divergence(step, metric);
    };
    const rollout = await makeRollout(tools, this.nextPrompts(), {
      config,
      kl_coef: this.klCoef,
      reward_baseline: this.baseline ?? 0,
      rewards,
      seed: seedOf(seed, "rollout", step),
    });
    for (const [key, value] of Object.entries(rollout.metrics))
      if (value !== null && !Number.isFinite(value)) diverged(key);
    const rate = learningRate(scheduleOf(config, total_steps), step - 1);
    const minibatches = seedOf(seed, "minibatches", step);
    const result = await updatePolicy(tools, rollout, { config, learning_rate: rate, seed: minibatches, diverged });
    const seconds = (input.clock() - begun) / 1000;
    this.rewards = rollout.rewards;
    progress.step = step;
    progress.num_tokens += result.tokens;
    progress.train_seconds += seconds;
    const texts = rollout.completions.length;
    if (step % config.logging_steps === 0 || step === total_steps)
      run.emit({
        type: "log",
        step,
        metrics: {
          ...rollout.metrics,
          ...updateMetrics(result.stats),
          grad_norm: result.grad_norm,
          lr: rate,
          learning_rate: rate,
          episode: step * texts,
          epoch: (step * texts) / tools.prompts.length,
          eps: (step * texts) / progress.train_seconds,
          num_tokens: progress.num_tokens,
          tokens_per_second: result.tokens / seconds,
        },
      });
    if (config.target_kl !== null)
      this.klCoef = adaptKlCoef(this.klCoef, {
        kl: rollout.kl,
        target: config.target_kl,
        texts,
        horizon: config.kl_horizon,
      });
  }

  /** The same prompts with the same random numbers at every evaluation: what changes is the policy. */
  private async evaluate(step: number): Promise<Metrics> {
    const { run } = this;
    const { config, seed } = run;
    const tools = this.ready();
    const texts = await writeTexts(tools, tools.evalPrompts, config, seedOf(seed, "samples", 0));
    const plain = { ...textMetrics(texts, tools.tokenizer.eosId), kl: await textKl(tools, texts, config.kl_estimator) };
    const metrics = Object.fromEntries(Object.entries(plain).map(([key, value]) => [`eval_${key}`, value]));
    for (const [key, value] of Object.entries(metrics))
      if (value !== null && !Number.isFinite(value)) throw run.divergence(step, key);
    this.evaluated = metrics;
    run.emit({ type: "eval", step, metrics });
    if (config.sample_texts > 0)
      run.emit({ type: "samples", step, texts: texts.written.slice(0, config.sample_texts) });
    return metrics;
  }

  private checkpoint(step: number): Promise<void> {
    const { trainer, extent } = this.ready();
    return this.run.saveCheckpoint(step, trainer, extent, {
      prompts: cursorState.parse(this.cursor?.state()),
      kl_coef: this.klCoef,
      reward_baseline: this.baseline ?? 0,
      rewards: this.rewards,
    });
  }
}

/** The number, if it is one. */
function finite(value: number, error: () => Error): number {
  if (Number.isFinite(value)) return value;
  throw error();
}

/** @throws NagiError config.invalid where prompt and continuation are more than the model has positions for */
function refuseTooLong(longest: number, { response_length }: PpoStageConfig, positions: number): void {
  if (longest + response_length <= positions) return;
  const allowed = Math.max(0, positions - longest);
  const problem = `is ${response_length}; with prompts of up to ${longest} tokens the model's ${positions} positions leave ${allowed}`;
  throw new NagiError("config.invalid", `response_length ${problem}. Choose a smaller one, or shorter prompts.`, {
    file: "config",
    path: "response_length",
    problem,
    allowed: `at most ${allowed}`,
  });
}
