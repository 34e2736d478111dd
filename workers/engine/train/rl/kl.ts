/** How far the policy has moved from the reference, per token, and the coefficient that holds it back. */

import type { PpoStageConfig } from "../../../../src/shared/protocol/stages";

export type KlEstimator = PpoStageConfig["kl_estimator"];

/**
 * Estimates of KL(policy || reference) at sampled tokens [N], from log-probabilities under both (Schulman, "Approximating
 * KL divergence", 2020). k1 = log p - log q: unbiased, may be negative. k3 = (q/p - 1) - log(q/p): unbiased, never
 * negative, less variance.
 */
export function tokenKl(estimator: KlEstimator, logprobs: Float64Array, reference: Float64Array): Float64Array {
  if (reference.length !== logprobs.length) throw new RangeError("log-probabilities of different tokens");
  return logprobs.map((logprob, i) => {
    const logRatio = (reference[i] ?? Number.NaN) - logprob;
    return estimator === "k1" ? -logRatio : Math.expm1(logRatio) - logRatio;
  });
}

/** One step changes the coefficient by at most this share of (texts / horizon). */
const LARGEST_ERROR = 0.2;

/**
 * The next coefficient of the KL penalty (Ziegler et al. 2019, section 2.2): a proportional controller in log space.
 * @param kl nats a text, mean of the last rollout.
 * @param target nats a text.
 * @param texts of the rollout, in the unit of `horizon`.
 */
export function adaptKlCoef(
  coefficient: number,
  { kl, target, texts, horizon }: Readonly<Record<"kl" | "target" | "texts" | "horizon", number>>,
): number {
  const error = Math.min(LARGEST_ERROR, Math.max(-LARGEST_ERROR, kl / target - 1));
  return coefficient * (1 + (error * texts) / horizon);
}
