/** How often a classifier is right, and how often it would be without looking. Labels are 1 (positive) or 0. */

/** Share of rows where `score > threshold` says what the label says. A score that is NaN is wrong. Null without rows. */
export function accuracy(scores: ArrayLike<number>, labels: ArrayLike<number>, threshold = 0): number | null {
  if (scores.length !== labels.length) throw new RangeError(`${scores.length} scores for ${labels.length} labels`);
  if (scores.length === 0) return null;
  let right = 0;
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i] ?? Number.NaN;
    if (labels[i] === 1 ? score > threshold : score <= threshold) right++;
  }
  return right / scores.length;
}

/**
 * Accuracy on `labels` of always predicting the label that is more frequent in `trainLabels` (a tie predicts positive).
 * Null if either has no rows.
 */
export function majorityAccuracy(trainLabels: ArrayLike<number>, labels: ArrayLike<number>): number | null {
  if (trainLabels.length === 0 || labels.length === 0) return null;
  const count = (values: ArrayLike<number>, wanted: number): number => {
    let found = 0;
    for (let i = 0; i < values.length; i++) if (values[i] === wanted) found++;
    return found;
  };
  const majority = 2 * count(trainLabels, 1) >= trainLabels.length ? 1 : 0;
  return count(labels, majority) / labels.length;
}
