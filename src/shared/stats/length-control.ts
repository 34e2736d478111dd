/**
 * What the win rate would be if both models wrote equally long texts: the length part of AlpacaEval 2 (Dubois et al.,
 * Length-Controlled AlpacaEval, 2024). logit P(B wins) = intercept + slope * tanh((length_b - length_a) / sd), the
 * differences' standard deviation sd (of the population); the answer is the prediction at equal lengths. Plain maximum
 * likelihood, a tie is half a win.
 */
import { type Interval, Z95 } from "./binomial";
import { sigmoid } from "./calibration";

export interface LengthControl {
  /** B's win rate at equal lengths. */
  readonly win_rate: number;
  /** 95 %, Wald on the intercept. */
  readonly interval95: Interval;
  /** Change of the logit from equal lengths to a much longer text of B; null where all lengths are equal. */
  readonly slope: number | null;
}

/**
 * `scores`: B's score of each item, 0, 0.5 or 1; `differences`: length of B's text minus A's. Null where no finite fit
 * exists: no items, or a length (or nothing at all) separates the wins from the losses.
 */
export function lengthControlled(scores: readonly number[], differences: readonly number[]): LengthControl | null {
  if (scores.length !== differences.length)
    throw new RangeError(`${scores.length} scores for ${differences.length} differences`);
  const count = scores.length;
  const mean = differences.reduce((sum, value) => sum + value, 0) / count;
  const deviation = Math.sqrt(differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count);
  // Equal differences that are not zero cannot be told from the models' own difference.
  if (!(deviation > 0) && differences.some((value) => value !== 0)) return null;
  const x = deviation > 0 ? differences.map((value) => Math.tanh(value / deviation)) : null;
  return separated(scores, x) ? null : maximize(scores, x);
}

/** Whether wins and losses fall apart along x (touching counts): the likelihood then has no maximum. */
function separated(scores: readonly number[], x: readonly number[] | null): boolean {
  const wins = scores.flatMap((score, i) => (score > 0 ? [x?.[i] ?? 0] : []));
  const losses = scores.flatMap((score, i) => (score < 1 ? [x?.[i] ?? 0] : []));
  if (wins.length === 0 || losses.length === 0) return true;
  if (x === null) return false;
  const range = (values: readonly number[]): [number, number] =>
    values.reduce<[number, number]>(
      ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    );
  const [[winLow, winHigh], [lossLow, lossHigh]] = [range(wins), range(losses)];
  return winLow >= lossHigh || lossLow >= winHigh;
}

function maximize(scores: readonly number[], x: readonly number[] | null): LengthControl | null {
  let [intercept, slope] = [0, 0];
  const likelihood = (a: number, b: number): number =>
    scores.reduce((sum, score, i) => {
      const logit = a + b * (x?.[i] ?? 0);
      return sum + score * logit - (Math.max(logit, 0) + Math.log1p(Math.exp(-Math.abs(logit))));
    }, 0);
  for (let step = 0; step < 200; step++) {
    let [g0, g1, h00, h01, h11] = [0, 0, 0, 0, x === null ? 1 : 0];
    for (const [i, score] of scores.entries()) {
      const value = x?.[i] ?? 0;
      const chance = sigmoid(intercept + slope * value);
      const weight = chance * (1 - chance);
      g0 += score - chance;
      g1 += (score - chance) * value;
      h00 += weight;
      h01 += weight * value;
      h11 += weight * value * value;
    }
    const determinant = h00 * h11 - h01 * h01;
    if (!(determinant > 0)) return null;
    const [d0, d1] = [(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant];
    if (!(Math.abs(d0) + Math.abs(d1) > 1e-12)) {
      const half = Z95 * Math.sqrt(h11 / determinant);
      return {
        win_rate: sigmoid(intercept),
        interval95: { low: sigmoid(intercept - half), high: sigmoid(intercept + half) },
        slope: x === null ? null : slope,
      };
    }
    // Newton's step, halved while it would lose likelihood.
    const before = likelihood(intercept, slope);
    let size = 1;
    while (size > 1e-6 && likelihood(intercept + size * d0, slope + size * d1) < before - 1e-12 * Math.abs(before))
      size /= 2;
    intercept += size * d0;
    slope += size * d1;
  }
  return null;
}
