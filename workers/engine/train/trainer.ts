/**
 * A model that learns: weights, optimizer and the plans of one task on one GPU. A step writes the batch and a few
 * scalars, replays prepared dispatches and waits for nothing; its loss arrives later. Plans are made per bucket of
 * tokens, at the first batch that needs one.
 */

import { NagiError } from "../../../src/shared/errors";
import type { RewardObjective } from "../../../src/shared/protocol/config";
import type { PackedBatch } from "../data/batches";
import type { BufferSlice, Dispatch, Gpu } from "../gpu/gpu";
import type { Tensors, TensorValues } from "../io/tensors";
import type { LoraOptions } from "../model/lora";
import type { NeoxConfig } from "../model/neox-config";
import { ParameterStore } from "../model/params";
import { AdamW, type AdamWOptions } from "../optim/adamw";
import { Arena } from "../plan/arena";
import { bucketSize, checkBatch } from "./batch";
import { checkFit, planActivations } from "./fit";
import { layOutModel } from "./model-layout";
import { Program, type ProgramSpec, programKey, type Workshop } from "./programs";
import { type DpoSettings, dpoTask } from "./task-dpo";
import { LANGUAGE_TASK } from "./task-lm";
import { type PpoSettings, ppoTask } from "./task-ppo";
import { rewardTask } from "./task-reward";
import type { ForwardResult, Purpose, Task } from "./tasks";

export type { PackedBatch } from "../data/batches";
export type { ForwardResult } from "./tasks";

export interface TrainerOptions {
  readonly task: "causal-lm" | "reward" | "ppo" | "dpo";
  /** Reward only. */
  readonly objective?: RewardObjective;
  /** PPO only. */
  readonly ppo?: PpoSettings;
  /** DPO only. */
  readonly dpo?: DpoSettings;
  readonly optimizer: AdamWOptions;
  /** Tokens of the largest micro-batch. */
  readonly max_tokens: number;
  /** Texts of the largest micro-batch (pairs: both sides counted). */
  readonly max_texts: number;
  /** Which parameters are trained; default all, with LoRA the adapters and the score head. */
  readonly trainable?: (name: string) => boolean;
  /** Adapters on the model's linears: PEFT's names, e.g. base_model.model.embed_out.lora_A.weight. */
  readonly lora?: LoraOptions;
  /** 32 bits: draws the adapters that `tensors` lacks, and the dropout masks. Default 0. */
  readonly seed?: number;
  /** How frozen matrices are stored. Default: f16 with LoRA where the GPU adapter has shader-f16, else f32. */
  readonly frozen_dtype?: "f32" | "f16";
  /** Forward passes only: no gradients, no optimizer (a reward model that judges others' texts). */
  readonly frozen?: boolean;
  /**
   * Keeps only the input of each layer and computes the layer again when the backward pass gets there (transformers'
   * gradient_checkpointing): less memory, a tenth to a fifth more time, the same numbers. Default false.
   */
  readonly gradient_checkpointing?: boolean;
  /** With `frozen`: the passes that are asked for give logits. */
  readonly logits?: boolean;
}

export interface ForwardOptions {
  /** Also the logits of every token (language models; made for small batches). */
  readonly logits?: boolean;
  /** false: as if the model had no adapters. */
  readonly adapter?: boolean;
}

export interface StepResult {
  /** Mean over all tokens, texts or pairs of the step. */
  readonly loss: number;
  /** Global L2 norm before clipping. */
  readonly grad_norm: number;
  /** PPO and DPO: what the forward pass of each micro-batch came to. */
  readonly outputs?: readonly ForwardResult[];
}

export interface TrainerState {
  /** Of the parameters that are trained: without training from scratch, only these ever change. */
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
    private readonly optimizer: AdamW | undefined,
    private readonly results: BufferSlice,
    private readonly options: TrainerOptions,
    private readonly largest: ProgramSpec,
  ) {}

  /**
   * Uploads the weights and prepares the largest plan. What does not fit the adapter is refused before anything is
   * allocated.
   * @param tensors all parameters by their name on disk, `score.weight` included (model/shapes.ts draws fresh ones); each
   * is read when it is its turn to be uploaded. Adapters that are not among them are drawn as peft does. null: no weights,
   * for a device that only counts.
   * @throws NagiError model.tensor_missing, model.tensor_shape, gpu.limit, gpu.out_of_memory; config.invalid where nothing
   * would be trained or the adapters' targets do not exist.
   */
  static async create(
    gpu: Gpu,
    config: NeoxConfig,
    tensors: Tensors | null,
    options: TrainerOptions,
  ): Promise<Trainer> {
    const task = taskOf(options);
    const { layout, fresh } = layOutModel(gpu.capabilities, config, task.head, options);
    const largest: ProgramSpec = {
      purpose: options.frozen ? (options.logits ? "logits" : "evaluate") : "train",
      tokens: bucketSize(options.max_tokens + 1),
      adapter: true,
    };
    const fit = { config, task, store: layout, spec: largest };
    const { recompute, needs } = planActivations(gpu.capabilities, fit, options.gradient_checkpointing ?? false);
    if (tensors) checkFit(gpu, layout, needs);
    const store = ParameterStore.allocate(gpu, layout);
    try {
      if (tensors) await store.load("weights", new Map<string, TensorValues>([...fresh(), ...tensors]), "model");
    } catch (error) {
      store.destroy();
      throw error;
    }
    const results = gpu.createBuffer("step results", 512);
    const arena = new Arena(gpu);
    const totalLoss = { ...results, offset: LOSS, size: 4 };
    const shop: Workshop = { gpu, config, task, store, arena, recompute, totalLoss };
    const norm = { ...results, offset: NORM, size: 8 };
    const optimizer = options.frozen ? undefined : await AdamW.create(gpu, store.shards, options.optimizer, norm);
    const trainer = new Trainer(gpu, shop, optimizer, results, options, largest);
    await trainer.#prepare(largest);
    return trainer;
  }

  /** The parameters on the GPU: a generator reads the very same weights. */
  get store(): ParameterStore {
    return this.shop.store;
  }

  /** GPU memory in bytes: in all, and by what it holds. */
  get memory(): { readonly bytes: number; readonly perBuffer: Readonly<Record<string, number>> } {
    const { store, arena } = this.shop;
    const perBuffer = {
      ...store.bytes,
      activations: arena.bytes,
      optimizer: (this.optimizer?.bytes ?? 0) + this.results.size,
    };
    return { bytes: Object.values(perBuffer).reduce((sum, bytes) => sum + bytes, 0), perBuffer };
  }

  /** What a step over one micro-batch of the largest size submits (frozen: a forward pass): for estimates of its time. */
  get stepDispatches(): readonly Dispatch[] {
    const { dispatches = [] } = this.#programs.get(programKey(this.largest))?.first ?? {};
    return this.optimizer ? this.#withOptimizer(dispatches, true) : dispatches;
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

  /** What the weights as they are after the steps called so far make of a batch. Nothing is dropped out. */
  async forward(batch: PackedBatch, { logits = false, adapter = true }: ForwardOptions = {}): Promise<ForwardResult> {
    const purpose: Purpose = logits ? "logits" : "evaluate";
    const { task } = this.shop;
    const reads = await this.#whenReady([batch], { purpose, adapter }, ([program]) => {
      if (!program) throw new Error("no program");
      const known = task.hasLoss(batch);
      program.load(batch, known ? 1 / task.count(batch) : 0);
      const { dispatches, outputs } = program.first;
      const loss = { ...this.results, offset: LOSS, size: 4 };
      const promises = this.gpu.submit(dispatches, [...outputs, ...(known ? [loss] : [])]);
      return { program, known, promises: Promise.all(promises) };
    });
    const values = (await reads.promises).map((buffer) => new Float32Array(buffer));
    const loss = reads.known ? values.pop()?.[0] : undefined;
    return { ...reads.program.pick(values, batch), ...(loss === undefined ? {} : { loss }) };
  }

  /** Gradients of the last step or backward, before clipping, by name. */
  gradients(): Promise<Map<string, Float32Array>> {
    return this.#inOrder(() => this.shop.store.read("gradients"));
  }

  /** Everything that decides the next step but the frozen weights, as it is after the steps called so far. */
  exportState(): Promise<TrainerState> {
    return this.#inOrder(async () => {
      const { store } = this.shop;
      const optimizer_step = this.#optimizerStep;
      // Steps called meanwhile wait for this, so all three belong to one moment.
      const weights = await store.read("weights", "trained");
      const exp_avg = await store.read("exp_avg", "trained");
      const exp_avg_sq = await store.read("exp_avg_sq", "trained");
      return { weights, exp_avg, exp_avg_sq, optimizer_step };
    });
  }

  /** Continues from an exported state. Rejects with model.tensor_missing and model.tensor_shape. */
  importState(state: TrainerState): Promise<void> {
    return this.#inOrder(async () => {
      const { store } = this.shop;
      for (const kind of ["weights", "exp_avg", "exp_avg_sq"] as const) {
        await store.load(kind, state[kind], "checkpoint", "trained");
      }
      this.#optimizerStep = state.optimizer_step;
    });
  }

  /** Frees all GPU memory. */
  destroy(): void {
    this.#programs.clear();
    this.shop.arena.destroy();
    this.shop.store.destroy();
    this.optimizer?.destroy();
    this.gpu.freeBuffer(this.results);
  }

  async #train(microBatches: readonly PackedBatch[], learningRate: number | undefined): Promise<StepResult> {
    if (!this.optimizer) throw new Error("a frozen trainer only runs forward");
    const count = microBatches.reduce((sum, batch) => sum + this.shop.task.count(batch), 0);
    if (microBatches.length === 0 || (count === 0 && learningRate !== undefined))
      throw new NagiError("data.empty", "the batch has no token, text or pair to learn from", { file: "batch" });
    const reads = await this.#whenReady(microBatches, { purpose: "train", adapter: true }, (programs) => ({
      programs,
      result: this.#enqueue(programs, microBatches, count === 0 ? 0 : 1 / count, learningRate),
    }));
    const { scalars, outputs } = await reads.result;
    const result = new Float32Array(scalars);
    const picked = microBatches.map((batch, index) => reads.programs[index]?.pick(outputs[index] ?? [], batch) ?? {});
    return {
      loss: result[LOSS / 4] ?? Number.NaN,
      grad_norm: result[NORM / 4] ?? Number.NaN,
      ...(outputs.some((values) => values.length > 0) ? { outputs: picked } : {}),
    };
  }

  /** Submits the micro-batches and, after the last one, the optimizer. */
  async #enqueue(
    programs: readonly Program[],
    batches: readonly PackedBatch[],
    weight: number,
    learningRate: number | undefined,
  ): Promise<{ readonly scalars: ArrayBuffer; readonly outputs: readonly Float32Array[][] }> {
    const step = this.#optimizerStep + 1;
    if (learningRate !== undefined) this.optimizer?.prepare(++this.#optimizerStep, learningRate);
    const reads: Promise<ArrayBuffer>[][] = [];
    for (const [index, batch] of batches.entries()) {
      const program = programs[index];
      const micro = index === 0 ? program?.first : program?.later;
      if (!program || !micro) throw new Error("a plan is missing");
      program.load(batch, weight, dropoutSeed(this.options.seed ?? 0, step, index));
      const last = index === batches.length - 1;
      const list = last ? this.#withOptimizer(micro.dispatches, learningRate !== undefined) : micro.dispatches;
      reads.push(this.gpu.submit(list, [...micro.outputs, ...(last ? [{ ...this.results, size: NORM + 8 }] : [])]));
    }
    const buffers = await Promise.all(reads.map((some) => Promise.all(some)));
    const scalars = buffers.at(-1)?.pop();
    if (!scalars) throw new Error("a step needs a batch");
    return { scalars, outputs: buffers.map((some) => some.map((buffer) => new Float32Array(buffer))) };
  }

  #withOptimizer(micro: readonly Dispatch[], update: boolean): readonly Dispatch[] {
    const { norm = [], update: adamw = [] } = this.optimizer ?? {};
    if (!update) return [...micro, ...norm];
    const known = this.#lastLists.get(micro);
    if (known) return known;
    const list = [...micro, ...norm, ...adamw];
    this.#lastLists.set(micro, list);
    return list;
  }

  /** Runs `action` with the programs of the batches: now, if all exist and nothing waits, else in the order of calls. */
  #whenReady<T>(
    batches: readonly PackedBatch[],
    kind: Omit<ProgramSpec, "tokens">,
    action: (programs: readonly Program[]) => T,
  ): T | Promise<T> {
    for (const batch of batches) checkBatch(batch, this.shop.config.vocab_size);
    const specs = batches.map((batch) => ({ ...kind, tokens: this.#tokensNeeded(batch) }));
    if (this.#queue === undefined) {
      const ready = this.#readyPrograms(specs);
      if (ready) return action(ready);
    }
    return this.#inOrder(async () => {
      for (const spec of specs) await this.#prepare(spec);
      for (const spec of specs.slice(1)) await this.#program(spec)?.prepareLater();
      const ready = this.#readyPrograms(specs);
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

  #program(spec: ProgramSpec): Program | undefined {
    return this.#programs.get(programKey(spec));
  }

  #readyPrograms(specs: readonly ProgramSpec[]): Program[] | undefined {
    const programs: Program[] = [];
    for (const [index, spec] of specs.entries()) {
      const program = this.#program(spec);
      if (!program || (index > 0 && !program.later)) return undefined;
      programs.push(program);
    }
    return programs;
  }

  async #prepare(spec: ProgramSpec): Promise<void> {
    if (this.#program(spec)) return;
    this.#programs.set(programKey(spec), await Program.create(this.shop, spec));
  }

  #tokensNeeded(batch: PackedBatch): number {
    const { max_tokens } = this.options;
    const tokens = batch.input_ids.length;
    if (tokens > max_tokens) throw new Error(`a batch of ${tokens} tokens, at most ${max_tokens} were announced`);
    return this.shop.task.tokensNeeded(batch);
  }
}

/** 32 bits that differ from micro-batch to micro-batch; a resumed run makes the same. */
function dropoutSeed(seed: number, step: number, micro: number): number {
  return Math.imul(seed ^ Math.imul(step, 0x9e37_79b1), 0x85eb_ca6b) ^ Math.imul(micro + 1, 0xc2b2_ae35);
}

function taskOf({ task, objective, ppo, dpo, max_texts }: TrainerOptions): Task {
  if (task === "causal-lm") return LANGUAGE_TASK;
  if (task === "reward" && objective) return rewardTask(objective, max_texts);
  if (task === "ppo" && ppo) return ppoTask(ppo);
  if (task === "dpo" && dpo) return dpoTask(dpo, max_texts);
  throw new Error(`a ${task} trainer needs its settings: objective, ppo or dpo`);
}
