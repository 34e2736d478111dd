/**
 * A model that learns: weights, optimizer and the plans of one task on one GPU. A step writes the batch and a few
 * scalars, replays prepared dispatches and waits for nothing; its loss arrives later. Plans are made per bucket of
 * tokens, at the first batch that needs one.
 */

import { NagiError } from "../../../src/shared/errors";
import type { RewardObjective } from "../../../src/shared/protocol/config";
import type { PackedBatch } from "../data/batches";
import type { BufferSlice, Dispatch, Gpu } from "../gpu/gpu";
import type { NeoxConfig } from "../model/neox-config";
import { ParameterStore } from "../model/params";
import { neoxParameterShapes } from "../model/shapes";
import { AdamW, type AdamWOptions } from "../optim/adamw";
import { Arena } from "../plan/arena";
import { bucketSize, checkBatch, countTargets, countTexts } from "./batch";
import { headOf, Program, type Purpose, type Task, type Workshop } from "./programs";

export type { PackedBatch } from "../data/batches";

export interface TrainerOptions {
  readonly task: "causal-lm" | "reward";
  /** Reward only. */
  readonly objective?: RewardObjective;
  readonly optimizer: AdamWOptions;
  /** Tokens of the largest micro-batch. */
  readonly max_tokens: number;
  /** Texts of the largest micro-batch (pairwise: both sides counted). */
  readonly max_texts: number;
  /** Which parameters are trained; default all. */
  readonly trainable?: (name: string) => boolean;
}

export interface StepResult {
  /** Mean over all tokens, texts or pairs of the step. */
  readonly loss: number;
  /** Global L2 norm before clipping. */
  readonly grad_norm: number;
}

export interface ForwardResult {
  /** Reward: [texts, num_labels], row-major. */
  readonly scores?: Float32Array;
  /** Mean loss, where the batch has labels (pairs, targets). */
  readonly loss?: number;
  /** Language models, if asked for: [tokens, vocab_size]. */
  readonly logits?: Float32Array;
}

export interface TrainerState {
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly exp_avg: ReadonlyMap<string, Float32Array>;
  readonly exp_avg_sq: ReadonlyMap<string, Float32Array>;
  /** Optimizer steps taken. */
  readonly optimizer_step: number;
}

/** Byte offsets in the results buffer. */
const LOSS = 0;
const NORM = 256;

export class Trainer {
  readonly #programs = new Map<string, Program>();
  /** Set while something waits for a plan to be compiled; later calls queue behind it. */
  #queue: Promise<unknown> | undefined;
  /** Lists that end with the optimizer, by the micro-step they begin with. */
  readonly #lastLists = new Map<readonly Dispatch[], readonly Dispatch[]>();
  #optimizerStep = 0;

  private constructor(
    private readonly gpu: Gpu,
    private readonly shop: Workshop,
    private readonly optimizer: AdamW,
    private readonly results: BufferSlice,
    private readonly options: TrainerOptions,
  ) {}

  /**
   * Uploads the weights and prepares the largest plan, so that what does not fit is said before the run.
   * @param tensors all parameters by Hugging Face name, `score.weight` included (model/shapes.ts draws fresh ones).
   * @throws NagiError model.tensor_missing, model.tensor_shape, gpu.limit, gpu.out_of_memory.
   */
  static async create(
    gpu: Gpu,
    config: NeoxConfig,
    tensors: ReadonlyMap<string, Float32Array>,
    options: TrainerOptions,
  ): Promise<Trainer> {
    const task = taskOf(options);
    const trainable = options.trainable ?? (() => true);
    const shapes = neoxParameterShapes(config, headOf(task));
    const store = ParameterStore.create(
      gpu,
      [...shapes].map(([name, shape]) => ({ name, shape, trainable: trainable(name) })),
    );
    store.load("weights", tensors, "model");
    const results = gpu.createBuffer("step results", 512);
    const arena = new Arena(gpu);
    const totalLoss = { ...results, offset: LOSS, size: 4 };
    const shop: Workshop = { gpu, config, task, store, arena, trainable, totalLoss };
    const norm = { ...results, offset: NORM, size: 8 };
    const optimizer = await AdamW.create(gpu, store.shards, options.optimizer, norm);
    const trainer = new Trainer(gpu, shop, optimizer, results, options);
    await trainer.#prepare("train", bucketSize(options.max_tokens + 1));
    return trainer;
  }

  /** GPU memory in bytes: in all, and by what it holds. */
  get memory(): { readonly bytes: number; readonly perBuffer: Readonly<Record<string, number>> } {
    const { store, arena } = this.shop;
    const perBuffer = { ...store.bytes, activations: arena.bytes, optimizer: this.optimizer.bytes + this.results.size };
    return { bytes: Object.values(perBuffer).reduce((sum, bytes) => sum + bytes, 0), perBuffer };
  }

  /** Optimizer steps enqueued so far. */
  get optimizer_step(): number {
    return this.#optimizerStep;
  }

  /**
   * One optimizer step over the micro-batches, whose gradients add up to those of the mean over all of them. Enqueues at
   * once where the plans exist; may be called again before the promise settles. Steps happen in the order of the calls.
   * Rejects with gpu.lost and gpu.validation; data.empty where nothing in the batches is learnt from.
   */
  step(microBatches: readonly PackedBatch[], learningRate: number): Promise<StepResult> {
    return this.#train(microBatches, learningRate);
  }

  /** The same without the update: loss, norm, and gradients() afterwards. All are 0 where nothing is learnt from. */
  backward(microBatches: readonly PackedBatch[]): Promise<StepResult> {
    return this.#train(microBatches, undefined);
  }

  /**
   * Scores and loss of a batch with the weights as they are after the steps called so far.
   * @param logits also return the logits of every token (language models; made for small batches).
   */
  async forward(batch: PackedBatch, logits = false): Promise<ForwardResult> {
    const purpose: Purpose = logits ? "logits" : "evaluate";
    const reads = await this.#whenReady([batch], purpose, ([program]) => {
      if (!program) throw new Error("no program");
      const known = hasLoss(batch, this.shop.task);
      program.load(batch, known ? 1 / this.#count(batch) : 0);
      const loss = { ...this.results, offset: LOSS, size: 4 };
      const slices = [loss, program.scores, program.logits].filter((slice) => slice !== undefined);
      const promises = this.gpu.submit(program.first.dispatches, slices);
      return { program, known, promises: Promise.all(promises) };
    });
    const buffers = (await reads.promises).map((buffer) => new Float32Array(buffer));
    const { program, known } = reads;
    const [loss] = buffers.shift() ?? [];
    const scores = program.scores && buffers.shift();
    const rows = program.logits && buffers.shift();
    return {
      ...(known && loss !== undefined ? { loss } : {}),
      ...(scores ? { scores: program.pickScores(scores, batch) } : {}),
      ...(rows ? { logits: rows.slice(0, batch.input_ids.length * this.shop.config.vocab_size) } : {}),
    };
  }

  /** Gradients of the last step or backward, before clipping, by name. */
  gradients(): Promise<Map<string, Float32Array>> {
    return this.#inOrder(() => this.shop.store.read("gradients"));
  }

  /** Everything that decides the next step, as it is after the steps called so far. */
  exportState(): Promise<TrainerState> {
    return this.#inOrder(async () => {
      const { store } = this.shop;
      const optimizer_step = this.#optimizerStep;
      // All copies are enqueued before the first wait, so they belong to one moment.
      const kinds = ["weights", "exp_avg", "exp_avg_sq"] as const;
      const [weights, exp_avg, exp_avg_sq] = await Promise.all(kinds.map((kind) => store.read(kind)));
      if (!weights || !exp_avg || !exp_avg_sq) throw new Error("a state has three parts");
      return { weights, exp_avg, exp_avg_sq, optimizer_step };
    });
  }

  /** Continues from an exported state. Rejects with model.tensor_missing and model.tensor_shape. */
  importState(state: TrainerState): Promise<void> {
    return this.#inOrder(async () => {
      const { store } = this.shop;
      for (const kind of ["weights", "exp_avg", "exp_avg_sq"] as const) store.load(kind, state[kind], "checkpoint");
      this.#optimizerStep = state.optimizer_step;
    });
  }

  /** Frees all GPU memory. */
  destroy(): void {
    this.#programs.clear();
    this.shop.arena.destroy();
    this.shop.store.destroy();
    this.optimizer.destroy();
    this.gpu.freeBuffer(this.results);
  }

  async #train(microBatches: readonly PackedBatch[], learningRate: number | undefined): Promise<StepResult> {
    const count = microBatches.reduce((sum, batch) => sum + this.#count(batch), 0);
    if (microBatches.length === 0 || (count === 0 && learningRate !== undefined))
      throw new NagiError("data.empty", "the batch has no token, text or pair to learn from", { file: "batch" });
    const read = await this.#whenReady(microBatches, "train", (programs) => ({
      promise: this.#enqueue(programs, microBatches, count === 0 ? 0 : 1 / count, learningRate),
    }));
    const result = new Float32Array(await read.promise);
    return { loss: result[LOSS / 4] ?? Number.NaN, grad_norm: result[NORM / 4] ?? Number.NaN };
  }

  #enqueue(
    programs: readonly Program[],
    batches: readonly PackedBatch[],
    weight: number,
    learningRate: number | undefined,
  ): Promise<ArrayBuffer> {
    if (learningRate !== undefined) this.optimizer.prepare(++this.#optimizerStep, learningRate);
    let read: Promise<ArrayBuffer> | undefined;
    for (const [index, batch] of batches.entries()) {
      const program = programs[index];
      const micro = index === 0 ? program?.first : program?.later;
      if (!program || !micro) throw new Error("a plan is missing");
      program.load(batch, weight);
      if (index < batches.length - 1) this.gpu.submit(micro.dispatches);
      else
        [read] = this.gpu.submit(this.#withOptimizer(micro.dispatches, learningRate !== undefined), [
          { ...this.results, size: NORM + 8 },
        ]);
    }
    if (!read) throw new Error("a step needs a batch");
    return read;
  }

  #withOptimizer(micro: readonly Dispatch[], update: boolean): readonly Dispatch[] {
    if (!update) return [...micro, ...this.optimizer.norm];
    const known = this.#lastLists.get(micro);
    if (known) return known;
    const list = [...micro, ...this.optimizer.norm, ...this.optimizer.update];
    this.#lastLists.set(micro, list);
    return list;
  }

  /** Runs `action` with the programs of the batches: now, if all exist and nothing waits, else in the order of calls. */
  #whenReady<T>(
    batches: readonly PackedBatch[],
    purpose: Purpose,
    action: (programs: readonly Program[]) => T,
  ): T | Promise<T> {
    for (const batch of batches) checkBatch(batch, this.shop.config.vocab_size);
    const sizes = batches.map((batch) => this.#tokensNeeded(batch));
    if (this.#queue === undefined) {
      const ready = this.#readyPrograms(purpose, sizes);
      if (ready) return action(ready);
    }
    return this.#inOrder(async () => {
      for (const size of sizes) await this.#prepare(purpose, size);
      if (sizes.length > 1) for (const size of sizes.slice(1)) await this.#program(purpose, size)?.prepareLater();
      const ready = this.#readyPrograms(purpose, sizes);
      if (!ready) throw new Error("a plan is missing");
      return action(ready);
    });
  }

  /** Runs after everything called before it has been enqueued. */
  #inOrder<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#queue === undefined ? action() : this.#queue.then(action);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#queue = settled;
    void settled.then(() => {
      if (this.#queue === settled) this.#queue = undefined;
    });
    return result;
  }

  #program(purpose: Purpose, tokens: number): Program | undefined {
    return this.#programs.get(`${purpose} ${tokens}`);
  }

  #readyPrograms(purpose: Purpose, sizes: readonly number[]): Program[] | undefined {
    const programs: Program[] = [];
    for (const [index, size] of sizes.entries()) {
      const program = this.#program(purpose, size);
      if (!program || (index > 0 && !program.later)) return undefined;
      programs.push(program);
    }
    return programs;
  }

  async #prepare(purpose: Purpose, tokens: number): Promise<void> {
    if (this.#program(purpose, tokens)) return;
    this.#programs.set(`${purpose} ${tokens}`, await Program.create(this.shop, purpose, tokens));
  }

  /** Where texts are missing, filler texts end at a filler token, of which there must be one. */
  #tokensNeeded(batch: PackedBatch): number {
    const { max_tokens } = this.options;
    const tokens = batch.input_ids.length;
    if (tokens > max_tokens) throw new Error(`a batch of ${tokens} tokens, at most ${max_tokens} were announced`);
    const { task } = this.shop;
    if (task.kind === "causal-lm") return bucketSize(tokens);
    const texts = countTexts(batch);
    if (texts > task.texts) throw new Error(`a batch of ${texts} texts, at most ${task.texts} were announced`);
    if (task.objective === "pairwise" && texts % 2 !== 0)
      throw new Error(`pairs need an even number of texts, not ${texts}`);
    return bucketSize(texts < task.texts ? tokens + 1 : tokens);
  }

  /** What the loss is the mean over. */
  #count(batch: PackedBatch): number {
    const { task } = this.shop;
    if (task.kind === "causal-lm") return countTargets(batch);
    return task.objective === "pairwise" ? countTexts(batch) / 2 : countTexts(batch);
  }
}

function taskOf({ task, objective, max_texts }: TrainerOptions): Task {
  if (task === "causal-lm") return { kind: "causal-lm" };
  if (!objective) throw new Error("a reward trainer needs an objective");
  return { kind: "reward", objective, texts: objective === "pairwise" ? 2 * Math.ceil(max_texts / 2) : max_texts };
}

function hasLoss(batch: PackedBatch, task: Task): boolean {
  if (task.kind === "causal-lm") return batch.targets !== undefined && countTargets(batch) > 0;
  return task.objective === "pairwise" || batch.labels !== undefined;
}
