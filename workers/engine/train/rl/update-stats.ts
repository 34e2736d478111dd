/** What PPO says about its updates, from the numbers each minibatch was computed with. */

import { mean } from "./ragged";

export interface ClipRanges {
  readonly cliprange: number;
  readonly cliprange_value: number;
}

/** The tokens [n] of one minibatch: as the rollout left them, and as the update's forward pass saw them. */
export interface MinibatchTokens {
  readonly logprobs: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  /** Of the policy's whole distribution, nats. */
  readonly entropies: ArrayLike<number>;
  readonly old_logprobs: ArrayLike<number>;
  readonly old_values: ArrayLike<number>;
  readonly advantages: ArrayLike<number>;
  readonly returns: ArrayLike<number>;
}

/** Means over the tokens of a minibatch; the losses are those the GPU differentiates (rl ops), in float64. */
export interface UpdateStats {
  readonly policy_loss: number;
  readonly value_loss: number;
  /** 0.5 (log ratio)²: TRL's approximation. */
  readonly approxkl: number;
  /** Share of tokens whose clipped term was the larger loss. */
  readonly clipfrac: number;
  readonly value_clipfrac: number;
  readonly entropy: number;
  readonly ratio: number;
}

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

/** Statistics of one minibatch. Throws RangeError where it has no tokens or the arrays differ in length. */
export function updateStats(tokens: MinibatchTokens, { cliprange, cliprange_value }: ClipRanges): UpdateStats {
  const { length } = tokens.logprobs;
  const lengths = Object.values(tokens).map((array: ArrayLike<number>) => array.length);
  if (length === 0 || lengths.some((other) => other !== length)) throw new RangeError(`tokens ${lengths.join(", ")}`);
  const at = (key: keyof MinibatchTokens, t: number) => tokens[key][t] ?? Number.NaN;
  const average = (f: (t: number) => number) => mean(Float64Array.from({ length }, (_, t) => f(t)));
  const logRatio = (t: number) => at("logprobs", t) - at("old_logprobs", t);
  const plain = (t: number) => -at("advantages", t) * Math.exp(logRatio(t));
  const clipped = (t: number) => -at("advantages", t) * clamp(Math.exp(logRatio(t)), 1 - cliprange, 1 + cliprange);
  const error = (t: number) => (at("values", t) - at("returns", t)) ** 2;
  const clippedError = (t: number) => {
    const old = at("old_values", t);
    return (clamp(at("values", t), old - cliprange_value, old + cliprange_value) - at("returns", t)) ** 2;
  };
  return {
    policy_loss: average((t) => Math.max(plain(t), clipped(t))),
    value_loss: 0.5 * average((t) => Math.max(error(t), clippedError(t))),
    approxkl: 0.5 * average((t) => logRatio(t) ** 2),
    clipfrac: average((t) => (clipped(t) > plain(t) ? 1 : 0)),
    value_clipfrac: average((t) => (clippedError(t) > error(t) ? 1 : 0)),
    entropy: average((t) => at("entropies", t)),
    ratio: average((t) => Math.exp(logRatio(t))),
  };
}

/** TRL's metrics of all minibatches of an update. `val/ratio_var` is null for a single one. */
export function updateMetrics(stats: readonly UpdateStats[]): Record<string, number | null> {
  const average = (key: keyof UpdateStats) => mean(stats.map((one) => one[key]));
  const ratio = average("ratio");
  const spread = stats.reduce((total, one) => total + (one.ratio - ratio) ** 2, 0);
  return {
    "loss/policy_avg": average("policy_loss"),
    "loss/value_avg": average("value_loss"),
    "policy/approxkl_avg": average("approxkl"),
    "policy/clipfrac_avg": average("clipfrac"),
    "val/clipfrac_avg": average("value_clipfrac"),
    "policy/entropy_avg": average("entropy"),
    "val/ratio": ratio,
    "val/ratio_var": stats.length > 1 ? spread / (stats.length - 1) : null,
  };
}
