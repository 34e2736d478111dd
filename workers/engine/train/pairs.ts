/** Pairs of a positive and a negative text, for the pairwise objective: labelled texts come without pairs. */
import type { Random } from "../../../src/shared/stats/random";

/** Indices of two texts. */
export interface Pair {
  /** The positive one. */
  readonly chosen: number;
  /** The negative one. */
  readonly rejected: number;
}

/** Indices of the texts with a label (1 positive, 0 negative). */
export function indicesOf(labels: Uint8Array, label: 0 | 1): number[] {
  const found: number[] = [];
  for (const [index, one] of labels.entries()) if (one === label) found.push(index);
  return found;
}

/** Indices in random order, started over (newly shuffled) as often as it takes to have `count`. */
function cycled(indices: readonly number[], count: number, random: Random): number[] {
  const result: number[] = [];
  while (result.length < count) result.push(...random.shuffle([...indices]).slice(0, count - result.length));
  return result;
}

/** As many random pairs as the larger class has texts: every text is in one at least. Needs both labels. */
export function drawPairs(labels: Uint8Array, random: Random): Pair[] {
  const positive = indicesOf(labels, 1);
  const negative = indicesOf(labels, 0);
  if (positive.length === 0 || negative.length === 0) throw new RangeError("pairs need both labels");
  const count = Math.max(positive.length, negative.length);
  const chosen = cycled(positive, count, random);
  const rejected = cycled(negative, count, random);
  return chosen.map((index, position) => ({ chosen: index, rejected: rejected[position] ?? 0 }));
}
