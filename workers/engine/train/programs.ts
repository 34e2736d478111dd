/** The plans a trainer needs, by what they compute and how many tokens they take; each is compiled once. */

import type { PackedBatch } from "../data/batches";
import type { BufferSlice, Dispatch, Gpu } from "../gpu/gpu";
import { accumulate } from "../kernels/accumulate";
import { inverseFrequencies, neoxTrunk, type ParameterInfo, Parameters, streamInputs } from "../model/neox";
import type { NeoxConfig } from "../model/neox-config";
import type { ParameterStore } from "../model/params";
import type { Arena } from "../plan/arena";
import { compilePlan, type Plan, type Variant } from "../plan/execute";
import { Graph } from "../plan/record";
import type { Recompute } from "../plan/steps";
import { fillStream } from "./batch";
import type { ForwardResult, Purpose, Recorded, Task } from "./tasks";

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
  readonly recompute: Recompute;
  /** f32 [1]: the sum of the losses of a step's micro-batches. */
  readonly totalLoss: BufferSlice;
}

/** The dispatches of one micro-batch, its loss added to the step's, and where its outputs are afterwards. */
export interface MicroStep {
  readonly dispatches: readonly Dispatch[];
  /** In the order the task names them. */
  readonly outputs: readonly BufferSlice[];
}

export class Program {
  private constructor(
    private readonly shop: Workshop,
    private readonly plan: Plan,
    private readonly recorded: Recorded,
    private readonly spec: ProgramSpec,
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
    this.#later = await microStep(this.shop, await this.plan.accumulating(), this.recorded, 1);
  }

  static async create(shop: Workshop, spec: ProgramSpec): Promise<Program> {
    const { gpu, config, store, arena, task, recompute } = shop;
    const graph = new Graph();
    const recorded = recordProgram(graph, shop, spec);
    const { loss, outputs } = recorded;
    const plan = await compilePlan(gpu, graph, {
      label: `${task.kind} ${programKey(spec)}`,
      ...(spec.purpose === "train" && loss ? { loss } : {}),
      outputs: [...(loss ? [loss] : []), ...Object.values(outputs)],
      parameters: store,
      arena,
      recompute,
    });
    plan.floats("inv_freq").set(inverseFrequencies(config));
    const drops = graph.inputs.has(DROPOUT_SEED);
    return new Program(shop, plan, recorded, spec, drops, await microStep(shop, plan.writing, recorded, 0));
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
    task.load(plan, batch, weight, this.spec);
    plan.upload();
  }

  /** What the outputs of a micro-batch say about it. @param values in the order of `MicroStep.outputs`. */
  pick(values: readonly Float32Array[], batch: PackedBatch): ForwardResult {
    const { task, config } = this.shop;
    const names = Object.keys(this.recorded.outputs);
    return task.pick(Object.fromEntries(names.map((name, index) => [name, values[index]])), batch, config);
  }
}

const DROPOUT_SEED = "dropout_seed";

/** Records what a plan computes; `store` only says what the parameters are. */
export function recordProgram(
  graph: Graph,
  shop: Pick<Workshop, "config" | "task"> & { readonly store: ParameterInfo },
  { purpose, tokens, adapter }: ProgramSpec,
): Recorded {
  const { config, task, store } = shop;
  const drops = purpose === "train" && (store.lora?.lora_dropout ?? 0) > 0;
  const parameters = new Parameters(graph, store, {
    adapter,
    ...(drops ? { dropout: graph.input(DROPOUT_SEED, [1], "i32") } : {}),
  });
  const hidden = neoxTrunk(graph, config, parameters, streamInputs(graph, config, tokens));
  return task.record({ graph, config, parameters, hidden, tokens, purpose, adapter });
}

async function microStep(
  shop: Workshop,
  variant: Variant,
  { loss, outputs }: Recorded,
  add: 0 | 1,
): Promise<MicroStep> {
  const slices = Object.values(outputs).map((tensor) => variant.output(tensor));
  if (!loss) return { dispatches: variant.dispatches, outputs: slices };
  const total = await shop.gpu.dispatch({
    label: add ? "add loss" : "loss",
    kernel: accumulate,
    overrides: { ACCUMULATE: add },
    bindings: { x: variant.output(loss), y: shop.totalLoss },
    params: { N: 1 },
  });
  return { dispatches: [...variant.dispatches, total], outputs: slices };
}
