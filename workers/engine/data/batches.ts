/**
 * From rows to what a trainer eats: token ids, the order in which a run sees its rows, and texts packed into one stream.
 */
import { Random, type RandomState } from "../../../src/shared/stats/random";
import type { Tokenizer } from "./tokenizer";

/**
 * Texts laid one after another, nothing between them and no padding. Arrays of tokens have as many entries as there are
 * tokens, arrays of texts as many as there are texts.
 */
export interface PackedBatch {
  readonly input_ids: Int32Array;
  /** Position of a token in its text, from 0. */
  readonly position_ids: Int32Array;
  /** Index of the first token of the token's text. */
  readonly segment_start: Int32Array;
  /** Index after the last token of the token's text. */
  readonly segment_end: Int32Array;
  /** Language models: the id that follows a token in its text, IGNORED after its last. */
  readonly targets?: Int32Array;
  /** Reward models: index of each text's last token. Pairwise: first half chosen, second half rejected. */
  readonly last_index?: Int32Array;
  /** Reward models, not pairwise: 1 positive, 0 negative, a text. */
  readonly labels?: Int32Array;
  /** PPO, to train: what the rollout measured at every token that has a target, 0 elsewhere. */
  readonly ppo?: {
    readonly old_logprobs: Float32Array;
    readonly old_values: Float32Array;
    readonly advantages: Float32Array;
    readonly returns: Float32Array;
  };
  /** DPO, to train: log-probability of each text's targets under the reference, a text. */
  readonly reference_logps?: Float32Array;
}

/** A target that no loss counts, as in PyTorch. */
export const IGNORED = -100;

/** What a batch is for: `labels` a text, or targets for every token. */
export interface PackExtras {
  readonly labels?: ArrayLike<number>;
  readonly targets?: boolean;
}

/** Packs texts of at least one token each. */
export function packTexts(texts: readonly ArrayLike<number>[], extras: PackExtras = {}): PackedBatch {
  const tokens = texts.reduce((sum, text) => sum + text.length, 0);
  const stream = () => new Int32Array(tokens);
  const batch = {
    input_ids: stream(),
    position_ids: stream(),
    segment_start: stream(),
    segment_end: stream(),
    last_index: new Int32Array(texts.length),
  };
  const targets = extras.targets ? stream().fill(IGNORED) : null;
  let start = 0;
  for (const [index, text] of texts.entries()) {
    if (text.length === 0) throw new RangeError(`text ${index} has no tokens`);
    const end = start + text.length;
    batch.input_ids.set(text, start);
    for (let token = start; token < end; token++) batch.position_ids[token] = token - start;
    batch.segment_start.fill(start, start, end);
    batch.segment_end.fill(end, start, end);
    batch.last_index[index] = end - 1;
    targets?.set(batch.input_ids.subarray(start + 1, end), start);
    start = end;
  }
  const { labels } = extras;
  if (labels && labels.length !== texts.length)
    throw new RangeError(`${labels.length} labels for ${texts.length} texts`);
  return { ...batch, ...(targets ? { targets } : {}), ...(labels ? { labels: Int32Array.from(labels) } : {}) };
}

/** A text's ids with the end of text appended. */
export interface EncodedText {
  readonly ids: Int32Array;
  /** Whether its end was cut off to fit. */
  readonly truncated: boolean;
}

/** One text in at most `maxLength` tokens, the closing end of text included: a longer one loses its end. */
export function encodeText(tokenizer: Tokenizer, text: string, maxLength: number): EncodedText {
  const ids = tokenizer.encode(text);
  const kept = Math.min(ids.length, maxLength - 1);
  const encoded = new Int32Array(kept + 1);
  for (let i = 0; i < kept; i++) encoded[i] = ids[i] ?? 0;
  encoded[kept] = tokenizer.eosId;
  return { ids: encoded, truncated: kept < ids.length };
}

export interface EncodeOptions {
  /** Called about every 30 ms; may throw to stop. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface EncodedTexts {
  readonly ids: readonly Int32Array[];
  readonly truncated: readonly boolean[];
  readonly truncatedCount: number;
  readonly tokens: number;
}

/** How long the thread may go without looking at its messages, in milliseconds. */
const TURN = 30;

/** Encodes texts, letting the thread handle messages in between: thousands of texts take seconds. */
export async function encodeTexts(
  tokenizer: Tokenizer,
  texts: readonly string[],
  maxLength: number,
  options: EncodeOptions = {},
): Promise<EncodedTexts> {
  const ids: Int32Array[] = [];
  const truncated: boolean[] = [];
  let tokens = 0;
  let turned = Date.now();
  for (const text of texts) {
    const encoded = encodeText(tokenizer, text, maxLength);
    ids.push(encoded.ids);
    truncated.push(encoded.truncated);
    tokens += encoded.ids.length;
    if (Date.now() - turned < TURN) continue;
    options.onProgress?.(ids.length, texts.length);
    await new Promise((resolve) => setTimeout(resolve, 0));
    turned = Date.now();
  }
  options.onProgress?.(texts.length, texts.length);
  return { ids, truncated, truncatedCount: truncated.filter(Boolean).length, tokens };
}

/** Where a cursor stands: plain data, a few bytes whatever the number of rows. */
export interface CursorState {
  /** Epochs completed. */
  readonly epoch: number;
  /** Rows of the current epoch already given out. */
  readonly position: number;
  /** The generator before the current epoch was shuffled: the order follows from it. */
  readonly random: RandomState;
}

/**
 * Gives out row indices in a new random order each epoch, every row once an epoch. A cursor restored from `state()`
 * goes on exactly where the other stood.
 */
export class BatchCursor {
  private epoch = 0;
  private position = 0;
  private before: RandomState;
  private order: number[];

  /** `rows` is at least 1. The cursor draws from `random`, which nobody else should use. */
  constructor(
    private readonly rows: number,
    private readonly random: Random,
  ) {
    if (!(Number.isSafeInteger(rows) && rows >= 1)) throw new RangeError(`a cursor over ${rows} rows`);
    this.before = random.state();
    this.order = this.draw();
  }

  /** Throws RangeError where the state cannot be one of a cursor over `rows` rows. */
  static restore(rows: number, state: CursorState): BatchCursor {
    if (!(Number.isSafeInteger(state.position) && state.position >= 0 && state.position <= rows)) {
      throw new RangeError(`position ${state.position} of ${rows} rows`);
    }
    const cursor = new BatchCursor(rows, Random.fromState(state.random));
    cursor.epoch = state.epoch;
    cursor.position = state.position;
    return cursor;
  }

  /** Rows an epoch. */
  get size(): number {
    return this.rows;
  }

  /** The next `count` indices; fewer only at the end of an epoch, never none. */
  next(count: number): number[] {
    if (!(count >= 1)) throw new RangeError(`a batch of ${count} rows`);
    if (this.position === this.rows) {
      this.epoch++;
      this.position = 0;
      this.before = this.random.state();
      this.order = this.draw();
    }
    const batch = this.order.slice(this.position, this.position + count);
    this.position += batch.length;
    return batch;
  }

  state(): CursorState {
    return { epoch: this.epoch, position: this.position, random: this.before };
  }

  private draw(): number[] {
    return this.random.shuffle(Array.from({ length: this.rows }, (_, index) => index));
  }
}
