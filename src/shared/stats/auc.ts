/** Threshold-free quality of scores. */
import { midRanks } from "./ranks";

/**
 * Area under the ROC curve: the probability that a random positive scores above a random negative, ties counting half
 * (Mann and Whitney). `labels` are 1 (positive) or 0. Null without both labels or with a score that is not a number.
 */
export function areaUnderCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): number | null {
  if (scores.length !== labels.length) throw new RangeError(`${scores.length} scores for ${labels.length} labels`);
  const ranks = midRanks(scores);
  if (!ranks) return null;
  let positives = 0;
  let rankSum = 0;
  for (let i = 0; i < scores.length; i++) {
    if (labels[i] !== 1) continue;
    positives++;
    rankSum += ranks[i] ?? 0;
  }
  const negatives = scores.length - positives;
  if (positives === 0 || negatives === 0) return null;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}
