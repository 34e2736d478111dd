/** How sure one can be of a mean: percentile intervals by resampling with replacement (Efron, 1979). */
import type { Interval } from "./binomial";
import { Random } from "./random";

export interface BootstrapOptions {
  /** Same seed, same interval. */
  readonly seed: number;
  /** Resamples; 10 000 unless told. */
  readonly draws?: number;
  /** 0.95 unless told. */
  readonly level?: number;
}

/** Quantile of sorted values, linear between neighbours (numpy's default, R's type 7). NaN without values. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? 0;
  const above = sorted[Math.ceil(at)] ?? 0;
  return below + (above - below) * (at - Math.floor(at));
}

/** The middle `level` of values in any order. Null without values. */
export function percentileInterval(values: Float64Array, level = 0.95): Interval | null {
  if (values.length === 0) return null;
  const sorted = values.slice().sort();
  return { low: quantile(sorted, (1 - level) / 2), high: quantile(sorted, (1 + level) / 2) };
}

/**
 * Over prompts: interval of the mean of one value an item (B's score 0, 0.5, 1, or a difference of rewards). A value
 * belongs to both models at once, so the comparison stays paired. Null for fewer than two values or one that is not finite.
 */
export function bootstrapItems(
  values: ArrayLike<number>,
  { seed, draws = 10_000, level }: BootstrapOptions,
): Interval | null {
  const count = values.length;
  if (count < 2) return null;
  for (let i = 0; i < count; i++) if (!Number.isFinite(values[i])) return null;
  const random = Random.seeded(seed, 1);
  const means = new Float64Array(draws);
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += values[random.below(count)] ?? 0;
    means[draw] = sum / count;
  }
  return percentileInterval(means, level);
}

/**
 * Over votes: the prompts stay, each item's votes are drawn anew from its own, and its majority is taken again.
 * `counts` [items][A, B, tie]; `score` is what an item's counts are worth for B. Null without items.
 */
export function bootstrapVotes<Row extends readonly number[]>(
  counts: readonly Row[],
  score: (row: readonly number[]) => number,
  { seed, draws = 10_000, level }: BootstrapOptions,
): Interval | null {
  if (counts.length === 0) return null;
  const random = Random.seeded(seed, 2);
  const sizes = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
  const means = new Float64Array(draws);
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0;
    for (const [item, row] of counts.entries()) {
      const drawn = row.map(() => 0);
      const votes = sizes[item] ?? 0;
      for (let vote = 0; vote < votes; vote++) {
        let at = random.below(votes);
        let category = 0;
        while (at >= (row[category] ?? 0)) at -= row[category++] ?? 0;
        drawn[category] = (drawn[category] ?? 0) + 1;
      }
      sum += score(drawn);
    }
    means[draw] = sum / counts.length;
  }
  return percentileInterval(means, level);
}
