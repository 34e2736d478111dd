/**
 * The order in which a run sees its training texts, cut into optimizer steps and micro-batches. The same seed gives the
 * same order; the state of a sampler is small plain data, and a sampler restored from it goes on where the other left
 * off.
 */
import { z } from "zod";
import type { RewardObjective } from "../../../src/shared/protocol/config";
import { BatchCursor, type CursorState, packTexts } from "../data/batches";
import type { StepBatch } from "./loop";
import { indicesOf, type Pair } from "./pairs";
import type { Split } from "./rows";
import { stream } from "./streams";
import type { PackedBatch } from "./trainer";

export interface SamplerOptions {
  readonly objective: RewardObjective;
  readonly seed: number;
  /** Texts (pairwise: pairs) a micro-batch. */
  readonly batch_size: number;
  /** Micro-batches an optimizer step. */
  readonly accumulation: number;
  readonly limits: BatchLimits;
  /** Pairwise: the pairs to learn from. Without them they are drawn from the labels, anew in every epoch. */
  readonly pairs?: readonly Pair[] | undefined;
}

/** What a micro-batch may hold at most; the trainer plans for it. */
export interface BatchLimits {
  readonly max_tokens: number;
  /** Pairwise: both sides counted. */
  readonly max_texts: number;
}

/** Largest micro-batch in tokens, unless one text or pair alone is longer: bounds the memory of activations. */
export const MICRO_BATCH_TOKENS = 2048;

/**
 * Room for the longest texts that can meet in a micro-batch. Where that is more than the bound, a micro-batch is split:
 * gradients add up, so the step stays the same.
 */
export function batchLimits(
  splits: readonly Pick<Split, "lengths">[],
  objective: RewardObjective,
  batch_size: number,
): BatchLimits {
  const perItem = objective === "pairwise" ? 2 : 1;
  const max_texts = batch_size * perItem;
  const lengths = splits.flatMap((split) => [...split.lengths]).sort((a, b) => b - a);
  const most = lengths.slice(0, max_texts).reduce((total, length) => total + length, 0);
  // A text alone must fit, for pairwise twice: a pair's sides may both be of the longest, and scoring pads with a copy.
  const single = perItem * (lengths[0] ?? 0);
  return { max_tokens: Math.max(single, Math.min(most, MICRO_BATCH_TOKENS)), max_texts };
}

const word = z.int().min(0).max(4_294_967_295);

/** Where a BatchCursor stands. */
export const cursorState = z.strictObject({
  epoch: z.int().min(0),
  position: z.int().min(0),
  random: z.tuple([word, word, word, word]),
});

/** One cursor over the texts or pairs, or (pairs drawn from labels) one over each label's texts. */
export const samplerState = z.array(cursorState).min(1).max(2);

/** Indices of texts: one, or [chosen, rejected]. */
type Item = readonly number[];

export class Sampler {
  /** Items (texts, or pairs) an epoch. Pairs: as many as the larger class has texts; the smaller one starts over. */
  readonly epoch_items: number;
  private readonly classes: readonly (readonly number[])[];
  private cursors: readonly BatchCursor[];

  /** `split` needs both labels where pairs are drawn from them. */
  constructor(
    private readonly split: Pick<Split, "ids" | "lengths" | "labels">,
    private readonly options: SamplerOptions,
  ) {
    const { labels } = split;
    if (options.pairs) this.classes = [Array.from(options.pairs, (_, index) => index)];
    else if (options.objective === "pairwise") this.classes = [indicesOf(labels, 1), indicesOf(labels, 0)];
    else this.classes = [Array.from(labels, (_, index) => index)];
    const streams = ["order", "rejected"] as const;
    this.cursors = this.classes.map(
      (indices, side) => new BatchCursor(indices.length, stream(options.seed, streams[side] ?? "order")),
    );
    this.epoch_items = Math.max(...this.classes.map((indices) => indices.length));
  }

  get steps_per_epoch(): number {
    return Math.ceil(this.epoch_items / (this.options.batch_size * this.options.accumulation));
  }

  state(): CursorState[] {
    return this.cursors.map((cursor) => cursor.state());
  }

  /** Throws RangeError where the state cannot be one of this sampler. */
  restore(state: readonly CursorState[]): void {
    if (state.length !== this.classes.length) throw new RangeError(`${state.length} cursors`);
    this.cursors = this.classes.map((indices, side) => {
      const saved = state[side];
      if (!saved) throw new RangeError(`no cursor ${side}`);
      return BatchCursor.restore(indices.length, saved);
    });
  }

  /** The next optimizer step's texts; fewer than usual at the end of an epoch, never none. */
  next(): StepBatch {
    const { batch_size, accumulation } = this.options;
    const items = this.items(batch_size * accumulation);
    const microBatches: PackedBatch[] = [];
    for (let first = 0; first < items.length; first += batch_size)
      for (const part of this.fitting(items.slice(first, first + batch_size))) microBatches.push(this.pack(part));
    return { microBatches, tokens: microBatches.reduce((sum, batch) => sum + batch.input_ids.length, 0) };
  }

  private items(count: number): Item[] {
    const { pairs } = this.options;
    if (pairs)
      return this.draw(0, count, false).map((index) => [pairs[index]?.chosen ?? 0, pairs[index]?.rejected ?? 0]);
    const sides = this.classes.map((indices) => indices.length);
    // The larger class decides where the epoch ends; the other one follows.
    const leader = sides.indexOf(this.epoch_items);
    const led = this.draw(leader, count, false);
    const drawn = this.classes.map((_, side) => (side === leader ? led : this.draw(side, led.length, true)));
    return led.map((_, position) => drawn.map((side) => side[position] ?? 0));
  }

  /** Indices of texts of one class. `across`: over the end of its epoch, too. */
  private draw(side: number, count: number, across: boolean): number[] {
    const cursor = this.cursors[side];
    const indices = this.classes[side];
    if (!cursor || !indices) throw new Error(`no class ${side}`);
    const drawn = cursor.next(count);
    while (across && drawn.length < count) drawn.push(...cursor.next(count - drawn.length));
    return drawn.map((position) => indices[position] ?? 0);
  }

  private tokens(item: Item): number {
    return item.reduce((sum, index) => sum + (this.split.lengths[index] ?? 0), 0);
  }

  /** The items in order, in as many parts as it takes for each to fit a micro-batch. */
  private fitting(items: readonly Item[]): Item[][] {
    const parts: Item[][] = [[]];
    let used = 0;
    for (const item of items) {
      const tokens = this.tokens(item);
      if (used > 0 && used + tokens > this.options.limits.max_tokens) {
        parts.push([]);
        used = 0;
      }
      parts.at(-1)?.push(item);
      used += tokens;
    }
    return parts;
  }

  private pack(items: readonly Item[]): PackedBatch {
    const pairwise = this.options.objective === "pairwise";
    const order = pairwise ? [0, 1].flatMap((side) => items.map((item) => item[side] ?? 0)) : items.flat();
    const texts = order.map((index) => this.split.ids[index] ?? new Int32Array());
    return packTexts(texts, pairwise ? {} : { labels: order.map((index) => this.split.labels[index] ?? 0) });
  }
}
