/** Whether predicted probabilities mean what they say. */
import type { CalibrationBin } from "../protocol/events";

/** 1 / (1 + e^-x) without overflow. */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const power = Math.exp(x);
  return power / (1 + power);
}

/**
 * The reliability diagram: rows in `binCount` bins of equal width by their predicted probability of "positive".
 * The last bin includes 1. Rows whose probability is not in [0, 1] (NaN) are in no bin; empty bins have null means.
 */
export function calibrationBins(
  probabilities: ArrayLike<number>,
  labels: ArrayLike<number>,
  binCount = 10,
): CalibrationBin[] {
  if (probabilities.length !== labels.length) {
    throw new RangeError(`${probabilities.length} probabilities for ${labels.length} labels`);
  }
  const counts = new Array<number>(binCount).fill(0);
  const predicted = new Array<number>(binCount).fill(0);
  const positive = new Array<number>(binCount).fill(0);
  for (let i = 0; i < probabilities.length; i++) {
    const probability = probabilities[i] ?? Number.NaN;
    if (!(probability >= 0 && probability <= 1)) continue;
    const bin = Math.min(Math.floor(probability * binCount), binCount - 1);
    counts[bin] = (counts[bin] ?? 0) + 1;
    predicted[bin] = (predicted[bin] ?? 0) + probability;
    positive[bin] = (positive[bin] ?? 0) + (labels[i] === 1 ? 1 : 0);
  }
  return counts.map((count, bin) => ({
    low: bin / binCount,
    high: (bin + 1) / binCount,
    count,
    mean_predicted: count === 0 ? null : (predicted[bin] ?? 0) / count,
    share_positive: count === 0 ? null : (positive[bin] ?? 0) / count,
  }));
}

/** Mean gap between predicted and observed share over the bins, weighted by their rows. Null without rows. */
export function expectedCalibrationError(bins: readonly CalibrationBin[]): number | null {
  const rows = bins.reduce((sum, { count }) => sum + count, 0);
  if (rows === 0) return null;
  let error = 0;
  for (const { count, mean_predicted, share_positive } of bins) {
    if (mean_predicted !== null && share_positive !== null) error += count * Math.abs(mean_predicted - share_positive);
  }
  return error / rows;
}
