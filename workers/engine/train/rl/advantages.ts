/** From rewards to what the policy and the value head learn. Arrays of tokens [N] are laid out as in ragged.ts. */

import { boundsOf, mean, sum } from "./ragged";

/**
 * Reward of every token: the KL penalty everywhere, the text's score at its last token. (TRL puts the score on the padding
 * token behind EOS, where there is one; here the last token of a text is the last action there is.)
 * @param kl [N] nats.
 * @param scores one a text.
 */
export function tokenRewards(
  kl: Float64Array,
  kl_coef: number,
  scores: ArrayLike<number>,
  starts: Int32Array,
): Float64Array {
  const rewards = kl.map((value) => -kl_coef * value);
  for (let i = 0; i < starts.length - 1; i++) {
    const last = boundsOf(starts, i)[1] - 1;
    rewards[last] = (rewards[last] ?? Number.NaN) + (scores[i] ?? Number.NaN);
  }
  return rewards;
}

/** Added to the variance before its root is taken, as in TRL. */
const EPSILON = 1e-8;

/**
 * Values with variance 1, and mean 0 unless `shiftMean` is false (TRL's masked_whiten: the variance has N - 1 below the
 * line). A single value has no variance: it is returned as it is.
 */
export function whiten(values: Float64Array, shiftMean = true): Float64Array {
  if (values.length < 2) return values.slice();
  const center = mean(values);
  const variance = sum(values.map((value) => (value - center) ** 2)) / (values.length - 1);
  const scale = 1 / Math.sqrt(variance + EPSILON);
  return values.map((value) => (value - center) * scale + (shiftMean ? 0 : center));
}

/**
 * Generalised advantage estimation (Schulman et al. 2016), each text on its own: nothing follows its last token.
 * @param values [N] of the states the tokens were chosen in.
 * @returns advantages [N], not whitened, and returns [N] = advantages + values.
 */
export function generalizedAdvantages(
  rewards: Float64Array,
  values: Float64Array,
  starts: Int32Array,
  { gamma, lam }: { readonly gamma: number; readonly lam: number },
): { readonly advantages: Float64Array; readonly returns: Float64Array } {
  const advantages = new Float64Array(rewards.length);
  for (let i = 0; i < starts.length - 1; i++) {
    const [first, end] = boundsOf(starts, i);
    let next = 0;
    let advantage = 0;
    for (let t = end - 1; t >= first; t--) {
      const value = values[t] ?? Number.NaN;
      const delta = (rewards[t] ?? Number.NaN) + gamma * next - value;
      advantage = delta + gamma * lam * advantage;
      advantages[t] = advantage;
      next = value;
    }
  }
  return { advantages, returns: advantages.map((advantage, t) => advantage + (values[t] ?? Number.NaN)) };
}

/**
 * 1 - mean squared error of the values / variance of the returns: 1 where the value head knows them, 0 where it does as
 * well as their mean, below where it does worse. Null where the returns do not vary.
 */
export function explainedVariance(values: Float64Array, returns: Float64Array): number | null {
  const center = mean(returns);
  const variance = mean(returns.map((value) => (value - center) ** 2));
  if (!(variance > 0)) return null;
  return 1 - mean(returns.map((value, t) => (value - (values[t] ?? Number.NaN)) ** 2)) / variance;
}
