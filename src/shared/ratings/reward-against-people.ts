/**
 * Does the reward model want what people want? Per item: the rewards of A's and B's text, and people's votes. All figures
 * use the difference reward B - reward A, so a constant offset of the reward does not matter.
 */
import { exactInterval, type Interval, signTest } from "../stats/binomial";
import { quantile } from "../stats/bootstrap";
import { sigmoid } from "../stats/calibration";
import { spearman } from "../stats/correlation";
import { kendallTau } from "../stats/kendall";
import { A, B, type ItemCounts, majority, TIE } from "./tally";

/** Standard deviation of a normal distribution by its median absolute deviation: 1 / (its 75 % quantile). */
const NORMAL_SCALE = 1 / 0.6744897501960817;

export interface JudgedItem {
  readonly item: string;
  /** Votes for [A, B, tie]. */
  readonly counts: ItemCounts;
  /** Null or not finite: the item is left out. */
  readonly reward_a: number | null;
  readonly reward_b: number | null;
}

/** A JudgedItem that can be compared: it has votes and both rewards. */
interface Compared {
  readonly item: string;
  readonly difference: number;
  /** B's share of the votes, ties half. */
  readonly share_b: number;
  readonly majority: 0 | 1 | 2;
}

export interface RewardBin {
  /** Size of the difference, from low to high. */
  readonly low: number;
  readonly high: number;
  readonly items: number;
  /** sigmoid(|difference|), the mean: how often the text of higher reward should be preferred. */
  readonly predicted: number;
  /** How often votes did prefer it, ties half, the mean over items. */
  readonly observed: number;
}

export interface Disagreement {
  readonly item: string;
  /** reward B - reward A. */
  readonly difference: number;
  readonly share_b: number;
  /** |difference| / median |difference| times people's margin the other way (0..1). */
  readonly size: number;
}

export interface RewardAgainstPeople {
  /** Items with votes and both rewards. */
  readonly items: number;
  /** Of them: people decided and rewards differ. */
  readonly compared: number;
  /** Of those: the reward prefers what people preferred. */
  readonly agreed: number;
  readonly agreement: number | null;
  readonly agreement_exact95: Interval | null;
  /** Two-sided exact test of the agreement against one half. */
  readonly agreement_p: number | null;
  /** Of reward difference and B's share of the votes. */
  readonly spearman: number | null;
  readonly kendall: number | null;
  readonly calibration: readonly RewardBin[];
  /** Items where people's majority of votes went against the reward, the worst first. */
  readonly disagreements: readonly Disagreement[];
}

/** `bins`: groups of about equally many items, by size of the difference. */
export function rewardAgainstPeople(judged: readonly JudgedItem[], bins = 5): RewardAgainstPeople {
  const items = judged.flatMap(compare);
  const decided = items.filter((one) => one.majority !== TIE && one.difference !== 0);
  const agreed = decided.filter((one) => one.difference > 0 === (one.majority === B)).length;
  const differences = items.map(({ difference }) => difference);
  const shares = items.map(({ share_b }) => share_b);
  return {
    items: items.length,
    compared: decided.length,
    agreed,
    agreement: decided.length === 0 ? null : agreed / decided.length,
    agreement_exact95: exactInterval(agreed, decided.length),
    agreement_p: signTest(agreed, decided.length),
    spearman: spearman(differences, shares),
    kendall: kendallTau(differences, shares),
    calibration: calibrate(items, bins),
    disagreements: disagreements(items),
  };
}

function compare({ item, counts, reward_a, reward_b }: JudgedItem): Compared[] {
  const votes = counts[A] + counts[B] + counts[TIE];
  if (reward_a === null || reward_b === null || votes === 0) return [];
  const difference = reward_b - reward_a;
  if (!Number.isFinite(difference)) return [];
  return [{ item, difference, share_b: (counts[B] + counts[TIE] / 2) / votes, majority: majority(counts) }];
}

/** Items whose rewards are equal predict nothing and are in no bin. */
function calibrate(items: readonly Compared[], bins: number): RewardBin[] {
  const sized = items
    .filter(({ difference }) => difference !== 0)
    .map(({ difference, share_b }) => ({
      size: Math.abs(difference),
      observed: difference > 0 ? share_b : 1 - share_b,
    }))
    .sort((one, other) => one.size - other.size);
  const filled = Math.min(bins, sized.length);
  return Array.from({ length: filled }, (_, at) => {
    const group = sized.slice(Math.floor((at * sized.length) / filled), Math.floor(((at + 1) * sized.length) / filled));
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    return {
      low: group[0]?.size ?? 0,
      high: group.at(-1)?.size ?? 0,
      items: group.length,
      predicted: mean(group.map(({ size }) => sigmoid(size))),
      observed: mean(group.map(({ observed }) => observed)),
    };
  });
}

function disagreements(items: readonly Compared[]): Disagreement[] {
  const sizes = items.map(({ difference }) => Math.abs(difference)).sort((one, other) => one - other);
  const middle = quantile(sizes, 0.5);
  // Where most rewards are equal there is no usual size: the largest takes its place.
  const usual = middle > 0 ? middle : (sizes.at(-1) ?? 0);
  return items
    .map(({ item, difference, share_b }) => ({
      item,
      difference,
      share_b,
      size: usual === 0 ? 0 : (difference / usual) * (1 - 2 * share_b),
    }))
    .filter(({ size }) => size > 0)
    .sort((one, other) => other.size - one.size);
}

export interface Outlier {
  /** Index of the value. */
  readonly index: number;
  readonly value: number;
  /** (value - median) / (1.4826 * median absolute deviation). */
  readonly robust_z: number;
}

/**
 * Values far from the others, the farthest first: |robust z| above 3.5 (Iglewicz and Hoaglin, How to Detect and Handle
 * Outliers, 1993). For rewards of texts, or differences of rewards. None where half of the values are equal; values that
 * are not finite are left out.
 */
export function outliers(values: readonly number[], limit = 3.5): Outlier[] {
  const sort = (list: readonly number[]): number[] => [...list].sort((one, other) => one - other);
  const finite = sort(values.filter(Number.isFinite));
  const median = quantile(finite, 0.5);
  const deviation = quantile(sort(finite.map((value) => Math.abs(value - median))), 0.5);
  if (!(deviation > 0)) return [];
  return values
    .map((value, index) => ({ index, value, robust_z: (value - median) / (deviation * NORMAL_SCALE) }))
    .filter(({ robust_z }) => Number.isFinite(robust_z) && Math.abs(robust_z) > limit)
    .sort((one, other) => Math.abs(other.robust_z) - Math.abs(one.robust_z));
}
