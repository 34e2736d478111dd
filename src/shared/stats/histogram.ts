export interface Histogram {
  /** Bin i holds values in [i * bin_width, (i + 1) * bin_width). */
  readonly bin_width: number;
  readonly counts: readonly number[];
}

const ROUND_STEPS = [1, 2, 5];

/** Counts non-negative finite `values` (others are left out) in bins of equal, round width: at most `maxBins` of them. */
export function histogram(values: ArrayLike<number>, maxBins = 40): Histogram {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (Number.isFinite(value)) largest = Math.max(largest, value);
  }
  return histogramOfWidth(values, roundWidth(largest, maxBins));
}

/** The smallest of 1, 2, 5, 10, 20, 50, ... that puts [0, largest] into at most `maxBins` bins. */
function roundWidth(largest: number, maxBins: number): number {
  for (let decade = 1; ; decade *= 10) {
    for (const step of ROUND_STEPS) if (Math.floor(largest / (step * decade)) < maxBins) return step * decade;
  }
}

/** Counts non-negative finite `values` in bins of `width`, up to the last that holds any. */
export function histogramOfWidth(values: ArrayLike<number>, width: number): Histogram {
  const counts: number[] = [];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? Number.NaN;
    if (!(value >= 0 && Number.isFinite(value))) continue;
    const bin = Math.floor(value / width);
    while (counts.length <= bin) counts.push(0);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { bin_width: width, counts };
}
