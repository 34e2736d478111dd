/** How a packed micro-batch is checked and laid into a plan's inputs of fixed size. */

import { NagiError } from "../../../src/shared/errors";
import { IGNORED, type PackedBatch } from "../data/batches";

/** Plans take at least so many tokens, and multiples of it. */
const SMALLEST = 16;

/**
 * Tokens of a plan: as many as the batch has, rounded up so that few plans serve all batches: to a sixteenth of the power
 * of two below. What is filled up is at most 1/16 of a batch from 256 tokens on, and 2 % of all on average.
 */
export function bucketSize(tokens: number): number {
  const unit = Math.max(SMALLEST, 2 ** Math.floor(Math.log2(Math.max(1, tokens)) - 4));
  return Math.max(1, Math.ceil(tokens / unit)) * unit;
}

/** The i32 inputs of a stream, each [R]. */
export interface StreamArrays {
  readonly input_ids: Int32Array;
  readonly position_ids: Int32Array;
  readonly segment_start: Int32Array;
  readonly segment_end: Int32Array;
}

/**
 * Refuses a batch that would read beyond a tensor.
 * @throws NagiError model.bad_tokenizer {file} where a token is not in the vocabulary; Error where the batch contradicts
 * itself.
 */
export function checkBatch(batch: PackedBatch, vocabulary: number): void {
  const { input_ids, position_ids, segment_start, segment_end, targets, last_index } = batch;
  const tokens = input_ids.length;
  const lengths = [position_ids.length, segment_start.length, segment_end.length, targets?.length ?? tokens];
  if (batch.ppo) lengths.push(...Object.values(batch.ppo).map(({ length }) => length));
  if (lengths.some((length) => length !== tokens)) throw new Error("the token arrays of a batch differ in length");
  for (let t = 0; t < tokens; t++) {
    checkToken(input_ids[t], vocabulary);
    const target = targets?.[t] ?? IGNORED;
    if (target !== IGNORED) checkToken(target, vocabulary);
    const start = segment_start[t] ?? -1;
    const end = segment_end[t] ?? -1;
    if (!(start >= 0 && start <= t && end > t && end <= tokens))
      throw new Error(`token ${t} lies outside its text [${start}, ${end})`);
  }
  for (const index of last_index ?? [])
    if (!(index >= 0 && index < tokens)) throw new Error(`a text ends at token ${index} of ${tokens}`);
}

/** @throws NagiError model.bad_tokenizer {file} where the model has no such token. */
export function checkToken(id: number | undefined, vocabulary: number): void {
  if (id !== undefined && id >= 0 && id < vocabulary) return;
  throw new NagiError(
    "model.bad_tokenizer",
    `token id ${id} does not exist: the model's vocabulary has ${vocabulary} entries. Take tokenizer.json and weights of the same model.`,
    { file: "tokenizer.json" },
  );
}

/** Copies a checked batch of at most R tokens and fills the rest with texts of one token. */
export function fillStream(into: StreamArrays, batch: PackedBatch, filler: number): void {
  const tokens = batch.input_ids.length;
  into.input_ids.set(batch.input_ids);
  into.position_ids.set(batch.position_ids);
  into.segment_start.set(batch.segment_start);
  into.segment_end.set(batch.segment_end);
  into.input_ids.fill(filler, tokens);
  into.position_ids.fill(0, tokens);
  for (let t = tokens; t < into.segment_start.length; t++) {
    into.segment_start[t] = t;
    into.segment_end[t] = t + 1;
  }
}

/** Targets that count. */
export function countTargets(batch: PackedBatch): number {
  if (!batch.targets) throw new Error("a language-model batch needs targets");
  let count = 0;
  for (const target of batch.targets) if (target !== IGNORED) count += 1;
  return count;
}

/** Texts of a reward batch. */
export function countTexts(batch: PackedBatch): number {
  if (!batch.last_index) throw new Error("a reward batch needs last_index");
  return batch.last_index.length;
}
