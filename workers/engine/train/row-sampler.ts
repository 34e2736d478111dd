/** The order in which a language model sees its packed rows, cut into optimizer steps and micro-batches. */
import { BatchCursor, type CursorState } from "../data/batches";
import { type PackedRow, packDocuments } from "../data/documents";
import type { StepBatch } from "./loop";
import { cursorState, MICRO_BATCH_TOKENS } from "./sampler";
import { stream } from "./streams";
import type { PackedBatch } from "./trainer";

export interface RowSamplerOptions {
  readonly seed: number;
  /** Rows a micro-batch. */
  readonly batch_size: number;
  /** Micro-batches an optimizer step. */
  readonly accumulation: number;
}

/** What a micro-batch holds at most. The longest row must fit; more is split, and gradients add up. */
export function rowTokens(rows: readonly PackedRow[], batch_size: number): number {
  const lengths = rows.map(({ tokens }) => tokens).sort((a, b) => b - a);
  const most = lengths.slice(0, batch_size).reduce((sum, tokens) => sum + tokens, 0);
  return Math.max(lengths[0] ?? 1, Math.min(most, MICRO_BATCH_TOKENS));
}

/** Rows in order, in as many groups as it takes for each to hold at most `max_tokens`. */
export function groupRows(rows: readonly PackedRow[], max_tokens: number): PackedRow[][] {
  const groups: PackedRow[][] = [];
  let used = 0;
  for (const row of rows) {
    const last = groups.at(-1);
    if (last === undefined || used + row.tokens > max_tokens) {
      groups.push([row]);
      used = row.tokens;
    } else {
      last.push(row);
      used += row.tokens;
    }
  }
  return groups;
}

export const packGroup = (rows: readonly PackedRow[]): PackedBatch =>
  packDocuments(rows.flatMap((row) => row.documents));

export const rowSamplerState = cursorState;

export class RowSampler {
  private cursor: BatchCursor;
  readonly max_tokens: number;

  /** `rows` holds one at least. */
  constructor(
    private readonly rows: readonly PackedRow[],
    private readonly options: RowSamplerOptions,
  ) {
    this.cursor = new BatchCursor(rows.length, stream(options.seed, "order"));
    this.max_tokens = rowTokens(rows, options.batch_size);
  }

  get steps_per_epoch(): number {
    return Math.ceil(this.rows.length / (this.options.batch_size * this.options.accumulation));
  }

  state(): CursorState {
    return this.cursor.state();
  }

  /** Throws RangeError where the state cannot be one of this sampler. */
  restore(state: CursorState): void {
    this.cursor = BatchCursor.restore(this.rows.length, state);
  }

  /** The next optimizer step's rows; fewer than usual at the end of an epoch, never none. */
  next(): StepBatch {
    const { batch_size, accumulation } = this.options;
    const drawn = this.cursor.next(batch_size * accumulation).flatMap((index) => this.rows[index] ?? []);
    const microBatches: PackedBatch[] = [];
    for (let first = 0; first < drawn.length; first += batch_size)
      microBatches.push(...groupRows(drawn.slice(first, first + batch_size), this.max_tokens).map(packGroup));
    return { microBatches, tokens: drawn.reduce((sum, { tokens }) => sum + tokens, 0) };
  }
}
