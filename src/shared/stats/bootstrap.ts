/** How sure one can be of a mean: the percentile bootstrap (Efron, 1979). */
import { Random } from "./random";

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  readonly seed: number;
  /** Default 0.95. */
  readonly confidence?: number;
  /** Samples drawn with replacement. Default 10 000. */
  readonly resamples?: number;
}

/**
 * The interval in which the mean of the population lies with the given confidence, from one value an item: for a paired
 * comparison these are the differences. The same seed gives the same interval. Null for fewer than two values or one
 * that is not finite.
 */
export function bootstrapMean(values: ArrayLike<number>, options: BootstrapOptions): Interval | null {
  const { seed, confidence = 0.95, resamples = 10_000 } = options;
  const count = values.length;
  if (count < 2) return null;
  for (let index = 0; index < count; index++) if (!Number.isFinite(values[index])) return null;
  const random = Random.seeded(seed);
  const means = new Float64Array(resamples);
  for (let sample = 0; sample < resamples; sample++) {
    let sum = 0;
    for (let draw = 0; draw < count; draw++) sum += values[random.below(count)] ?? 0;
    means[sample] = sum / count;
  }
  means.sort();
  const tail = (1 - confidence) / 2;
  return { low: quantile(means, tail), high: quantile(means, 1 - tail) };
}

/** Differences of two measurements of the same items. Throws RangeError where their numbers differ. */
export function differences(second: ArrayLike<number>, first: ArrayLike<number>): Float64Array {
  if (second.length !== first.length) throw new RangeError(`${second.length} values against ${first.length}`);
  return Float64Array.from(second, (value, index) => value - (first[index] ?? Number.NaN));
}

/** Of sorted values, between neighbours in proportion (numpy's default). */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below] ?? Number.NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? Number.NaN;
  return low + (place - below) * (high - low);
}
