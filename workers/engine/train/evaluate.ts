/**
 * What rewards say about texts with known labels. Pure: the rewards come from the GPU, everything here is float64 on the
 * host, so that a figure does not depend on how texts were batched. Keys and formulas: docs/metrics.md.
 */
import type { RewardObjective } from "../../../src/shared/protocol/config";
import type { CalibrationBin, Metrics } from "../../../src/shared/protocol/events";
import { areaUnderCurve } from "../../../src/shared/stats/auc";
import { calibrationBins, expectedCalibrationError, sigmoid } from "../../../src/shared/stats/calibration";
import { accuracy } from "../../../src/shared/stats/classification";
import { pearson, spearman } from "../../../src/shared/stats/correlation";
import type { Pair } from "./pairs";

/** A split with its rewards; the arrays run in parallel. */
export interface Scored {
  /** The logit (binary, pairwise) or logit[1] - logit[0] (cross-entropy). */
  readonly rewards: Float64Array;
  /** 1 positive, 0 negative. */
  readonly labels: Uint8Array;
  /** Tokens a text, EOS included. */
  readonly lengths: Int32Array;
  /** Pairwise only: indices of the texts that are compared. */
  readonly pairs: readonly Pair[];
}

/** log(1 + exp(x)), without overflow. */
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/**
 * Mean loss of the objective. Cross-entropy over two logits is the binary loss of their difference, so both share a
 * formula.
 */
function meanLoss({ rewards, labels, pairs }: Scored, objective: RewardObjective): number {
  let sum = 0;
  if (objective === "pairwise") {
    for (const { chosen, rejected } of pairs)
      sum += softplus((rewards[rejected] ?? Number.NaN) - (rewards[chosen] ?? Number.NaN));
    return sum / pairs.length;
  }
  for (const [index, reward] of rewards.entries()) sum += softplus(labels[index] === 1 ? -reward : reward);
  return sum / rewards.length;
}

/**
 * The threshold with the highest accuracy on these rows; of several, the one in the middle. Between two neighbouring
 * rewards, so that no row lies on it. For pairwise training, which fixes rewards only up to a constant.
 */
export function bestThreshold(rewards: Float64Array, labels: Uint8Array): number {
  const order = [...rewards.keys()].sort((a, b) => (rewards[a] ?? 0) - (rewards[b] ?? 0));
  const sorted = order.map((index) => rewards[index] ?? 0);
  let right = labels.reduce((sum, label) => sum + label, 0);
  let most = right;
  let best: number[] = [Number.NEGATIVE_INFINITY];
  for (const [position, index] of order.entries()) {
    right += labels[index] === 1 ? -1 : 1;
    const here = sorted[position] ?? 0;
    const next = sorted[position + 1] ?? Number.POSITIVE_INFINITY;
    if (here === next || right < most) continue;
    if (right > most) best = [];
    most = right;
    best.push((here + next) / 2);
  }
  const middle = best[Math.floor(best.length / 2)] ?? 0;
  // A cut outside all rewards (every row on one side) is as good a little outside as at infinity, and can be stored.
  if (middle === Number.POSITIVE_INFINITY) return (sorted[sorted.length - 1] ?? 0) + 1;
  return middle === Number.NEGATIVE_INFINITY ? (sorted[0] ?? 0) - 1 : middle;
}

/** The reliability diagram of a split; sigmoid(reward - threshold) is the predicted probability of "positive". */
export function calibration({ rewards, labels }: Scored, threshold: number): CalibrationBin[] {
  return calibrationBins(
    rewards.map((reward) => sigmoid(reward - threshold)),
    labels,
  );
}

function mean(values: Float64Array, keep: (index: number) => boolean): number | null {
  let sum = 0;
  let count = 0;
  for (const [index, value] of values.entries()) {
    if (!keep(index)) continue;
    sum += value;
    count += 1;
  }
  return count === 0 ? null : sum / count;
}

/** The metrics of a split, keys with `prefix`. `threshold` is 0 except for pairwise. */
export function evaluationMetrics(
  prefix: "eval" | "test",
  scored: Scored,
  objective: RewardObjective,
  threshold: number,
): Metrics {
  const { rewards, labels, lengths, pairs } = scored;
  const positive = mean(rewards, (index) => labels[index] === 1);
  const negative = mean(rewards, (index) => labels[index] === 0);
  const metrics: Metrics = {
    loss: meanLoss(scored, objective),
    accuracy: accuracy(rewards, labels, threshold),
    auc: areaUnderCurve(rewards, labels),
    mean_reward: mean(rewards, () => true),
    min_reward: rewards.reduce((least, reward) => Math.min(least, reward), Number.POSITIVE_INFINITY),
    max_reward: rewards.reduce((most, reward) => Math.max(most, reward), Number.NEGATIVE_INFINITY),
    margin: positive === null || negative === null ? null : positive - negative,
    length_correlation: pearson(rewards, lengths),
    length_rank_correlation: spearman(rewards, lengths),
    calibration_error: expectedCalibrationError(calibration(scored, threshold)),
  };
  if (objective === "pairwise") Object.assign(metrics, pairFigures(rewards, pairs), { threshold });
  return withPrefix(prefix, metrics);
}

const withPrefix = (prefix: string, metrics: Metrics): Metrics =>
  Object.fromEntries(Object.entries(metrics).map(([key, value]) => [`${prefix}_${key}`, value]));

function pairFigures(rewards: Float64Array, pairs: readonly Pair[]): Metrics {
  const won = pairs.filter(({ chosen, rejected }) => (rewards[chosen] ?? 0) > (rewards[rejected] ?? 0));
  const margins = pairs.map(({ chosen, rejected }) => (rewards[chosen] ?? 0) - (rewards[rejected] ?? 0));
  return {
    pairwise_accuracy: won.length / pairs.length,
    pairwise_margin: margins.reduce((sum, margin) => sum + margin, 0) / pairs.length,
  };
}

/** Loss, accuracy and margin of pairs that were kept back from an imported file. `pairs` holds one at least. */
export function pairMetrics(prefix: "eval", rewards: Float64Array, pairs: readonly Pair[]): Metrics {
  const none = { labels: new Uint8Array(), lengths: new Int32Array() };
  return withPrefix(prefix, {
    loss: meanLoss({ rewards, pairs, ...none }, "pairwise"),
    ...pairFigures(rewards, pairs),
  });
}
