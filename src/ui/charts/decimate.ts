/**
 * Down-sampling for the screen. A curve of 100,000 steps on 800 pixels must not lose a single spike: a reward model
 * that blew up for one step has to be seen. Keeping every n-th point or an average would hide it, so of each pixel
 * column we keep the first, the lowest, the highest and the last point, and one missing value if there is any.
 */

/** A column; a missing value is NaN (a gap in the line). */
export type Values = ArrayLike<number>;

/**
 * Indices (ascending, no repeats) of the points to draw in `x` between `from` and `to`, with one neighbour on either
 * side so that lines run to the edge. `x` is ascending; every array of `series` is as long as `x`.
 * At most 5 indices per pixel column and series; with few enough points all of them are kept.
 */
export function decimate(
  x: ArrayLike<number>,
  series: readonly Values[],
  from: number,
  to: number,
  pixels: number,
): number[] {
  const start = Math.max(0, lowerBound(x, from) - 1);
  const end = Math.min(x.length, upperBound(x, to) + 1);
  const count = end - start;
  const columns = Math.max(1, Math.floor(pixels));
  if (count <= columns * 2) return range(start, end);

  const keep = new Uint8Array(count);
  const low = x[start] ?? 0;
  const span = (x[end - 1] ?? 0) - low;
  const columnOf = (index: number) =>
    span > 0 ? Math.min(columns - 1, Math.floor((((x[index] ?? 0) - low) / span) * columns)) : 0;

  for (const values of series) {
    let index = start;
    while (index < end) {
      const column = columnOf(index);
      let first = -1;
      let last = -1;
      let lowest = -1;
      let highest = -1;
      let gap = -1;
      for (; index < end && columnOf(index) === column; index++) {
        const value = values[index] ?? Number.NaN;
        if (!Number.isFinite(value)) {
          if (gap < 0) gap = index;
          continue;
        }
        if (first < 0) first = index;
        last = index;
        if (lowest < 0 || value < (values[lowest] ?? 0)) lowest = index;
        if (highest < 0 || value > (values[highest] ?? 0)) highest = index;
      }
      for (const kept of [first, lowest, highest, last, gap]) if (kept >= 0) keep[kept - start] = 1;
    }
  }
  const result: number[] = [];
  for (let i = 0; i < count; i++) if (keep[i] === 1) result.push(start + i);
  return result;
}

/** Lowest and highest finite value, null when there is none. */
export function extent(values: Values): { low: number; high: number } | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? Number.NaN;
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? { low, high } : null;
}

/** Evenly spaced indices of `length` rows, first and last included, for tables. */
export function evenly(length: number, limit: number): number[] {
  if (length <= limit) return range(0, length);
  const result: number[] = [];
  for (let i = 0; i < limit; i++) result.push(Math.round((i * (length - 1)) / (limit - 1)));
  return result;
}

function range(start: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
}

/** First index whose value is at least `value`; x ascends. */
export function lowerBound(x: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** First index whose value is above `value`. */
function upperBound(x: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
