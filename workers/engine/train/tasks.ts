/**
 * What a trainer can be for: what its plans compute on top of the trunk, what a batch must hold for it, and what comes
 * back. One file a task; trainer.ts and programs.ts know none of them by name.
 */
import type { PackedBatch } from "../data/batches";
import type { Parameters } from "../model/neox";
import type { NeoxConfig } from "../model/neox-config";
import type { HeadSpec } from "../model/shapes";
import type { Plan } from "../plan/execute";
import type { Graph, Tensor } from "../plan/record";

/** train: loss and gradients. evaluate: what there is to know about a batch. logits: the logits of every token as well. */
export type Purpose = "train" | "evaluate" | "logits";

/** What a forward pass gives; which fields depends on the task. */
export interface ForwardResult {
  /** Reward: [texts, num_labels], row-major. */
  readonly scores?: Float32Array;
  /** Mean loss, where the batch has labels (pairs, targets). Not of PPO and DPO. */
  readonly loss?: number;
  /** Language models, if asked for: [tokens, vocab_size]. */
  readonly logits?: Float32Array;
  /** PPO. */
  readonly tokens?: TokenResults;
  /** DPO: log-probability of each text's targets [texts]. */
  readonly logps?: Float32Array;
}

/** Of every token of the batch [tokens]; 0 where it has no target, values anything there. */
export interface TokenResults {
  readonly logprobs: Float32Array;
  /** Of the whole distribution, nats. Not without the adapter. */
  readonly entropies?: Float32Array;
  /** By the value head. Not without the adapter. */
  readonly values?: Float32Array;
}

export interface Recorded {
  /** [1]; a plan that is trained has one. */
  readonly loss: Tensor | undefined;
  /** Read back after every run, of a training step too; `pick` gets their numbers by these names. */
  readonly outputs: Readonly<Record<string, Tensor>>;
}

export interface RecordInput {
  readonly graph: Graph;
  readonly config: NeoxConfig;
  readonly parameters: Parameters;
  /** Hidden states [tokens, H]. */
  readonly hidden: Tensor;
  readonly tokens: number;
  readonly purpose: Purpose;
  /** false: the adapters were left out. */
  readonly adapter: boolean;
}

export interface Task {
  readonly kind: string;
  readonly head: HeadSpec;
  /** Tokens a plan for this batch must have. @throws Error where the batch is not one of this task. */
  tokensNeeded(batch: PackedBatch): number;
  /** What the loss is the mean over: tokens, texts or pairs. */
  count(batch: PackedBatch): number;
  /** Whether a forward pass over the batch has a loss. */
  hasLoss(batch: PackedBatch): boolean;
  record(input: RecordInput): Recorded;
  /** Fills the inputs that `record` made. @param weight of one token, text or pair: 1 / count. */
  load(plan: Plan, batch: PackedBatch, weight: number, spec: Pick<RecordInput, "tokens" | "purpose">): void;
  /** The outputs, without what filled the plan. */
  pick(outputs: Readonly<Partial<Record<string, Float32Array>>>, batch: PackedBatch, config: NeoxConfig): ForwardResult;
}
