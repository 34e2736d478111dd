/**
 * Continuations of different lengths as one array: the values of all their tokens one text after another, no padding.
 * `starts` [texts + 1] says where each text begins; text i is [starts[i], starts[i + 1]). A continuation has at least one
 * token.
 */

/** `starts` of texts with these many tokens. Throws RangeError for a text without tokens. */
export function startsOf(lengths: ArrayLike<number>): Int32Array {
  const starts = new Int32Array(lengths.length + 1);
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i] ?? 0;
    if (!(length >= 1)) throw new RangeError(`continuation ${i} has ${length} tokens`);
    starts[i + 1] = (starts[i] ?? 0) + length;
  }
  return starts;
}

/** First token and the one after the last of text i. */
export function boundsOf(starts: Int32Array, i: number): readonly [first: number, end: number] {
  const [first, end] = [starts[i], starts[i + 1]];
  if (first === undefined || end === undefined) throw new RangeError(`no text ${i} among ${starts.length - 1}`);
  return [first, end];
}

/** The sum of each text's values. */
export function textSums(values: Float64Array, starts: Int32Array): Float64Array {
  return Float64Array.from({ length: starts.length - 1 }, (_, i) => sum(values.subarray(...boundsOf(starts, i))));
}

export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] ?? Number.NaN;
  return total;
}

/** NaN of nothing. */
export const mean = (values: ArrayLike<number>): number => sum(values) / values.length;
