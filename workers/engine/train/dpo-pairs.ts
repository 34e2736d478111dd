/** Pairs of completions as DPO learns from them: read, encoded, weighed by the reference, laid into optimizer steps. */
import type { DpoStageConfig } from "../../../src/shared/protocol/config";
import { BatchCursor, type CursorState } from "../data/batches";
import { parseDataset } from "../data/formats";
import { parsePreferences } from "../data/preferences";
import type { Tokenizer } from "../data/tokenizer";
import { type Completion, completionOf, packCompletions } from "./completions";
import type { DeviceGuard } from "./guard";
import type { StepBatch } from "./loop";
import { drawPairs } from "./pairs";
import { promptOf } from "./prompts";
import { MICRO_BATCH_TOKENS } from "./sampler";
import type { DataFile, StageInput } from "./stage";
import { stream } from "./streams";
import type { PackedBatch, Trainer } from "./trainer";

/** The two texts of a pair. */
export interface EncodedPair {
  readonly chosen: Completion;
  readonly rejected: Completion;
}

/** A pair with the reference's log-probability of either completion (nats). */
export interface WeighedPair extends EncodedPair {
  readonly reference_chosen: number;
  readonly reference_rejected: number;
}

export interface PairSets {
  readonly train: readonly EncodedPair[];
  readonly validation: readonly EncodedPair[];
  /** Completions that were cut to max_length, and pairs left out because a prompt filled it. */
  readonly truncated: number;
}

/** Of an imported file, this share is kept back for evaluation, at least one pair where there are two. */
const HELD_BACK = 0.1;

/** Prompt and answer in token ids, not yet cut. */
interface Sides {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
}

/**
 * The pairs of a stage. From a file, both sides answer the same prompt, and a seeded share is kept back. From labels, a
 * positive text is chosen over a negative one, and each is asked to go on from its own beginning, which is not counted.
 * Throws data.* where a file cannot be used.
 */
export async function readPairs(
  { data, pairs }: Pick<StageInput, "data" | "pairs">,
  config: DpoStageConfig,
  tokenizer: Tokenizer,
  { seed, maxLength }: { readonly seed: number; readonly maxLength: number },
): Promise<PairSets> {
  let truncated = 0;
  const cut = ({ prompt, answer }: Sides): Completion | null => {
    const ids = Int32Array.from([...answer, tokenizer.eosId]);
    // Text begins after the end of another one, as in pre-training.
    const before = Int32Array.from(prompt.length === 0 ? [tokenizer.eosId] : prompt);
    const room = maxLength - before.length;
    if (ids.length > room) truncated += 1;
    return room < 1 ? null : completionOf(before, ids.subarray(0, room));
  };
  const encode = (sides: readonly (readonly [chosen: Sides, rejected: Sides])[]): EncodedPair[] =>
    sides.flatMap(([first, second]) => {
      const [chosen, rejected] = [cut(first), cut(second)];
      return chosen && rejected ? [{ chosen, rejected }] : [];
    });
  if (pairs) {
    const encoded = await inTurns(parsePreferences(pairs.bytes, pairs.name), ({ prompt, chosen, rejected }) => {
      const before = tokenizer.encode(prompt);
      const side = (answer: string) => ({ prompt: before, answer: tokenizer.encode(answer) });
      return [side(chosen), side(rejected)] as const;
    });
    const all = stream(seed, "pairs").shuffle(encoded);
    const held = all.length < 2 ? 0 : Math.max(1, Math.floor(HELD_BACK * all.length));
    return { train: encode(all.slice(held)), validation: encode(all.slice(0, held)), truncated };
  }
  const fromLabels = async (file: DataFile) => {
    const { rows } = parseDataset(file.bytes, file.name);
    const labels = Uint8Array.from(rows, ({ label }) => (label === "positive" ? 1 : 0));
    const sides = await inTurns(rows, ({ sentence }) => sidesOf(tokenizer, sentence, config.prompt));
    return drawPairs(labels, stream(seed, "pairs")).flatMap(({ chosen, rejected }) => {
      const [a, b] = [sides[chosen], sides[rejected]];
      return a && b ? [[a, b] as const] : [];
    });
  };
  const [train, validation] = [encode(await fromLabels(data.train)), encode(await fromLabels(data.validation))];
  return { train, validation, truncated };
}

/** How long the thread may go without looking at its messages, in milliseconds. */
const TURN = 30;

/** Maps items, letting the thread handle messages in between: encoding thousands of texts takes seconds. */
async function inTurns<T, U>(items: readonly T[], map: (item: T) => U): Promise<U[]> {
  const mapped: U[] = [];
  let turned = Date.now();
  for (const item of items) {
    mapped.push(map(item));
    if (Date.now() - turned < TURN) continue;
    await new Promise((resolve) => setTimeout(resolve, 0));
    turned = Date.now();
  }
  return mapped;
}

/** A text's beginning and what follows, encoded apart, as at generation. */
function sidesOf(tokenizer: Tokenizer, text: string, config: DpoStageConfig["prompt"]): Sides {
  if (config.unit === "tokens") {
    const ids = tokenizer.encode(text);
    return { prompt: ids.slice(0, config.length), answer: ids.slice(config.length) };
  }
  const prompt = promptOf(tokenizer, text, config);
  return {
    prompt: prompt ? [...prompt.ids] : [],
    answer: tokenizer.encode(text.slice(prompt?.text.length ?? 0)),
  };
}

export const tokensOf = ({ chosen, rejected }: EncodedPair): number => chosen.ids.length + rejected.ids.length;

/** Room for the longest pairs that can meet in a micro-batch, bounded as those of other stages are. */
export function pairLimits(sets: PairSets, batch_size: number): { max_tokens: number; max_texts: number } {
  const lengths = [...sets.train, ...sets.validation].map(tokensOf).sort((a, b) => b - a);
  const most = lengths.slice(0, batch_size).reduce((sum, length) => sum + length, 0);
  return { max_tokens: Math.max(lengths[0] ?? 1, Math.min(most, MICRO_BATCH_TOKENS)), max_texts: 2 * batch_size };
}

/** The pairs in order, in as many groups as it takes for each to fit a plan. */
export function groupPairs<T extends EncodedPair>(
  pairs: readonly T[],
  { max_tokens, max_texts }: { readonly max_tokens: number; readonly max_texts: number },
): T[][] {
  const groups: T[][] = [];
  let used = 0;
  for (const pair of pairs) {
    const last = groups.at(-1);
    if (last && used + tokensOf(pair) <= max_tokens && 2 * (last.length + 1) <= max_texts) {
      last.push(pair);
      used += tokensOf(pair);
    } else {
      groups.push([pair]);
      used = tokensOf(pair);
    }
  }
  return groups;
}

/** One stream: all chosen texts, then all rejected ones. */
export const packPairs = (pairs: readonly EncodedPair[]): PackedBatch =>
  packCompletions([...pairs.map(({ chosen }) => chosen), ...pairs.map(({ rejected }) => rejected)]);

/** The same to train on. */
export const packWeighed = (pairs: readonly WeighedPair[]): PackedBatch => ({
  ...packPairs(pairs),
  reference_logps: Float32Array.from([
    ...pairs.map(({ reference_chosen }) => reference_chosen),
    ...pairs.map(({ reference_rejected }) => reference_rejected),
  ]),
});

/** Log-probabilities of either completion of every pair: of the policy, or (adapter off) of the reference. */
export async function pairLogps(
  pairs: readonly EncodedPair[],
  tools: {
    readonly trainer: Pick<Trainer, "forward">;
    readonly guard: DeviceGuard;
    readonly limits: { readonly max_tokens: number; readonly max_texts: number };
  },
  adapter: boolean,
): Promise<{ readonly chosen: number[]; readonly rejected: number[] }> {
  const chosen: number[] = [];
  const rejected: number[] = [];
  for (const group of groupPairs(pairs, tools.limits)) {
    const { logps } = await tools.guard.wait(tools.trainer.forward(packPairs(group), { adapter }));
    if (!logps) throw new Error("a DPO trainer gives log-probabilities of texts");
    chosen.push(...logps.subarray(0, group.length));
    rejected.push(...logps.subarray(group.length));
  }
  return { chosen, rejected };
}

/** The pairs with the reference's log-probabilities. Asked once: the reference does not change. */
export async function weighPairs(
  pairs: readonly EncodedPair[],
  tools: Parameters<typeof pairLogps>[1],
): Promise<WeighedPair[]> {
  const { chosen, rejected } = await pairLogps(pairs, tools, false);
  return pairs.map((pair, i) => ({
    ...pair,
    reference_chosen: chosen[i] ?? Number.NaN,
    reference_rejected: rejected[i] ?? Number.NaN,
  }));
}

export interface PairSamplerOptions {
  readonly seed: number;
  /** Pairs a micro-batch. */
  readonly batch_size: number;
  /** Micro-batches an optimizer step. */
  readonly accumulation: number;
  readonly limits: { readonly max_tokens: number; readonly max_texts: number };
}

/** The order in which a run sees its pairs. */
export class PairSampler {
  private cursor: BatchCursor;

  /** `pairs` holds one at least. */
  constructor(
    private readonly pairs: readonly WeighedPair[],
    private readonly options: PairSamplerOptions,
  ) {
    this.cursor = new BatchCursor(pairs.length, stream(options.seed, "order"));
  }

  get steps_per_epoch(): number {
    return Math.ceil(this.pairs.length / (this.options.batch_size * this.options.accumulation));
  }

  state(): CursorState {
    return this.cursor.state();
  }

  /** Throws RangeError where the state cannot be one of this sampler. */
  restore(state: CursorState): void {
    this.cursor = BatchCursor.restore(this.pairs.length, state);
  }

  /** The next optimizer step's pairs; fewer than usual at the end of an epoch, never none. */
  next(): StepBatch {
    const { batch_size, accumulation, limits } = this.options;
    const drawn = this.cursor.next(batch_size * accumulation).flatMap((index) => this.pairs[index] ?? []);
    const microBatches: PackedBatch[] = [];
    for (let first = 0; first < drawn.length; first += batch_size)
      microBatches.push(...groupPairs(drawn.slice(first, first + batch_size), limits).map(packWeighed));
    return { microBatches, tokens: drawn.reduce((sum, pair) => sum + tokensOf(pair), 0) };
  }
}
