/** The plans a trainer needs, by what they compute and how many tokens they take; each is compiled once. */

import type { RewardObjective } from "../../../src/shared/protocol/config";
import { IGNORED, type PackedBatch } from "../data/batches";
import type { BufferSlice, Dispatch, Gpu } from "../gpu/gpu";
import { accumulate } from "../kernels/accumulate";
import { LABELS, lmLogits, lmLossHead, rewardLoss, rewardScores } from "../model/heads";
import { inverseFrequencies, neoxTrunk, type ParameterInfo, Parameters, streamInputs } from "../model/neox";
import type { NeoxConfig } from "../model/neox-config";
import type { ParameterStore } from "../model/params";
import type { HeadSpec } from "../model/shapes";
import type { Arena } from "../plan/arena";
import { compilePlan, type Plan, type Variant } from "../plan/execute";
import { Graph, type Tensor } from "../plan/record";
import { countTexts, fillStream } from "./batch";

/** What is trained, and with which loss. */
export type Task =
  | { readonly kind: "causal-lm" }
  | { readonly kind: "reward"; readonly objective: RewardObjective /** Texts of a plan. */; readonly texts: number };

export function headOf(task: Task): HeadSpec {
  return task.kind === "reward" ? { kind: "reward", num_labels: LABELS[task.objective] } : { kind: "causal-lm" };
}

/** train: loss and gradients. evaluate: loss and scores. logits: loss and the logits of every token. */
export type Purpose = "train" | "evaluate" | "logits";

/** A plan of a trainer; equal keys are equal plans. */
export interface ProgramSpec {
  readonly purpose: Purpose;
  /** Tokens R of the stream. */
  readonly tokens: number;
  /** false: the adapters are left out. */
  readonly adapter: boolean;
}

export const programKey = ({ purpose, tokens, adapter }: ProgramSpec): string =>
  `${purpose} ${tokens}${adapter ? "" : " without adapter"}`;

/** What a trainer shares among its programs. */
export interface Workshop {
  readonly gpu: Gpu;
  readonly config: NeoxConfig;
  readonly task: Task;
  readonly store: ParameterStore;
  readonly arena: Arena;
  /** f32 [1]: the sum of the losses of a step's micro-batches. */
  readonly totalLoss: BufferSlice;
}

/** The dispatches of one micro-batch, its loss added to the step's. */
export interface MicroStep {
  readonly dispatches: readonly Dispatch[];
}

export interface Results {
  readonly loss: Tensor;
  readonly scores: Tensor | undefined;
  readonly logits: Tensor | undefined;
}

export class Program {
  private constructor(
    private readonly shop: Workshop,
    private readonly plan: Plan,
    private readonly results: Results,
    readonly tokens: number,
    private readonly drops: boolean,
    /** The first micro-batch of a step: gradients and the step's loss are written. */
    readonly first: MicroStep,
  ) {}

  #later: MicroStep | undefined;

  /** Micro-batches after the first: gradients and loss are added. Undefined before prepareLater(). */
  get later(): MicroStep | undefined {
    return this.#later;
  }

  async prepareLater(): Promise<void> {
    if (this.#later) return;
    this.#later = await microStep(this.shop, await this.plan.accumulating(), this.results.loss, 1);
  }

  static async create(shop: Workshop, spec: ProgramSpec): Promise<Program> {
    const { gpu, config, store, arena } = shop;
    const { purpose, tokens } = spec;
    const graph = new Graph();
    const results = recordProgram(graph, shop, spec);
    const { loss, scores, logits } = results;
    const plan = await compilePlan(gpu, graph, {
      label: `${shop.task.kind} ${programKey(spec)}`,
      ...(purpose === "train" ? { loss } : {}),
      outputs: [loss, scores, logits].filter((tensor) => tensor !== undefined),
      parameters: store,
      arena,
    });
    plan.floats("inv_freq").set(inverseFrequencies(config));
    const drops = graph.inputs.has(DROPOUT_SEED);
    return new Program(shop, plan, results, tokens, drops, await microStep(shop, plan.writing, loss, 0));
  }

  get scores(): BufferSlice | undefined {
    return this.results.scores && this.plan.writing.output(this.results.scores);
  }

  get logits(): BufferSlice | undefined {
    return this.results.logits && this.plan.writing.output(this.results.logits);
  }

  /**
   * Lays a checked batch into the inputs and sends them.
   * @param weight of one token, text or pair: 1 / count. @param seed of the dropout masks, 32 bits.
   */
  load(batch: PackedBatch, weight: number, seed = 0): void {
    const { plan, shop } = this;
    const { config, task } = shop;
    const stream = {
      input_ids: plan.integers("input_ids"),
      position_ids: plan.integers("position_ids"),
      segment_start: plan.integers("segment_start"),
      segment_end: plan.integers("segment_end"),
    };
    fillStream(stream, batch, Math.min(config.pad_token_id ?? 0, config.vocab_size - 1));
    if (this.drops) plan.integers(DROPOUT_SEED)[0] = seed;
    if (task.kind === "causal-lm") {
      const targets = plan.integers("targets").fill(IGNORED);
      if (batch.targets) targets.set(batch.targets);
      plan.floats("token_weight")[0] = weight;
    } else this.#loadTexts(batch, task.objective, weight);
    plan.upload();
  }

  #loadTexts(batch: PackedBatch, objective: RewardObjective, weight: number): void {
    const { plan } = this;
    // Filler texts are judged by the last token of the stream, which is then filler too (see tokensNeeded).
    const indices = plan.integers("last_index").fill(this.tokens - 1);
    const given = batch.last_index ?? new Int32Array();
    const weights = plan.floats("weight").fill(0);
    if (objective === "pairwise") {
      const pairs = given.length / 2;
      indices.set(given.subarray(0, pairs));
      indices.set(given.subarray(pairs), indices.length / 2);
      weights.fill(weight, 0, pairs);
      return;
    }
    indices.set(given);
    const labels = plan.integers("labels").fill(0);
    if (!batch.labels) return;
    labels.set(batch.labels);
    weights.fill(weight, 0, given.length);
  }

  /** Scores [texts, num_labels] of a batch out of those of the plan. */
  pickScores(all: Float32Array, batch: PackedBatch): Float32Array {
    const { task } = this.shop;
    if (task.kind !== "reward") throw new Error("only reward models have scores");
    const texts = countTexts(batch);
    if (task.objective !== "pairwise") return all.slice(0, texts * LABELS[task.objective]);
    const pairs = texts / 2;
    const half = all.length / 2;
    return Float32Array.from([...all.subarray(0, pairs), ...all.subarray(half, half + pairs)]);
  }
}

const DROPOUT_SEED = "dropout_seed";

/** Records what a plan computes; `store` only says what the parameters are. */
export function recordProgram(
  graph: Graph,
  shop: Pick<Workshop, "config" | "task"> & { readonly store: ParameterInfo },
  { purpose, tokens, adapter }: ProgramSpec,
): Results {
  const { config, task, store } = shop;
  const drops = purpose === "train" && (store.lora?.lora_dropout ?? 0) > 0;
  const parameters = new Parameters(graph, store, {
    adapter,
    ...(drops ? { dropout: graph.input(DROPOUT_SEED, [1], "i32") } : {}),
  });
  const hidden = neoxTrunk(graph, config, parameters, streamInputs(graph, config, tokens));
  if (task.kind === "causal-lm") {
    const targets = graph.input("targets", [tokens], "i32");
    const token_weight = graph.input("token_weight", [1], "f32");
    const loss = lmLossHead(graph, config, parameters, hidden, { targets, token_weight });
    const logits = purpose === "logits" ? lmLogits(config, parameters, hidden) : undefined;
    return { loss, scores: undefined, logits };
  }
  const { objective, texts } = task;
  const pairwise = objective === "pairwise";
  const scores = rewardScores(graph, parameters, hidden, graph.input("last_index", [texts], "i32"));
  const loss = rewardLoss(graph, objective, scores, {
    labels: pairwise ? undefined : graph.input("labels", [texts], "i32"),
    weight: graph.input("weight", [pairwise ? texts / 2 : texts], "f32"),
  });
  return { loss, scores, logits: undefined };
}

async function microStep(shop: Workshop, variant: Variant, loss: Tensor, add: 0 | 1): Promise<MicroStep> {
  const total = await shop.gpu.dispatch({
    label: add ? "add loss" : "loss",
    kernel: accumulate,
    overrides: { ACCUMULATE: add },
    bindings: { x: variant.output(loss), y: shop.totalLoss },
    params: { N: 1 },
  });
  return { dispatches: [...variant.dispatches, total] };
}
