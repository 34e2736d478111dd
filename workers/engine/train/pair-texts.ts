/** An imported file of pairs as a reward model reads it: every answer behind its prompt, as one text closed by EOS. */
import { encodeTexts } from "../data/batches";
import { parsePreferences } from "../data/preferences";
import type { Tokenizer } from "../data/tokenizer";
import type { Pair } from "./pairs";
import type { DataFile } from "./stage";
import { stream } from "./streams";

/** Of a file, this share is kept back for evaluation, at least one pair where there are two. */
const HELD_BACK = 0.1;

export interface PairTexts {
  /** Token ids of both sides of all pairs. */
  readonly ids: readonly Int32Array[];
  readonly lengths: Int32Array;
  /** Indices into `ids`. */
  readonly train: readonly Pair[];
  readonly validation: readonly Pair[];
  /** Texts that were longer than the limit. */
  readonly truncated: number;
}

/** Reads and encodes a file of pairs. Throws data.* with the file and the line. */
export async function readPairTexts(
  file: DataFile,
  tokenizer: Tokenizer,
  { maxLength, seed }: { readonly maxLength: number; readonly seed: number },
): Promise<PairTexts> {
  const given = parsePreferences(file.bytes, file.name);
  const texts = given.flatMap(({ prompt, chosen, rejected }) => [prompt + chosen, prompt + rejected]);
  const { ids, truncatedCount } = await encodeTexts(tokenizer, texts, maxLength);
  const pairs = given.map((_, index): Pair => ({ chosen: 2 * index, rejected: 2 * index + 1 }));
  stream(seed, "pairs").shuffle(pairs);
  const held = pairs.length < 2 ? 0 : Math.max(1, Math.floor(HELD_BACK * pairs.length));
  return {
    ids,
    lengths: Int32Array.from(ids, (one) => one.length),
    train: pairs.slice(held),
    validation: pairs.slice(0, held),
    truncated: truncatedCount,
  };
}
