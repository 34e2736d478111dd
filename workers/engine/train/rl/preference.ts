/** DPO's numbers (Rafailov et al. 2023), from the summed log-probabilities of whole completions. */

import { mean } from "./ragged";

/** One entry a pair: log-probability of the completion under the policy and under the reference, nats. */
export interface PairLogps {
  readonly chosen: ArrayLike<number>;
  readonly rejected: ArrayLike<number>;
  readonly reference_chosen: ArrayLike<number>;
  readonly reference_rejected: ArrayLike<number>;
}

const softplus = (t: number) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));

/**
 * TRL's metrics of some pairs. The implicit reward of a completion is beta (log p - log reference); the loss is
 * -log sigmoid of the difference, with `label_smoothing` the share of pairs that are thought to be the wrong way round.
 */
export function preferenceMetrics(
  logps: PairLogps,
  { beta, label_smoothing }: { readonly beta: number; readonly label_smoothing: number },
): Record<string, number> {
  const reward = (side: "chosen" | "rejected") =>
    Float64Array.from(logps[side], (value, i) => beta * (value - (logps[`reference_${side}`][i] ?? Number.NaN)));
  const [chosen, rejected] = [reward("chosen"), reward("rejected")];
  const margins = chosen.map((value, i) => value - (rejected[i] ?? Number.NaN));
  const losses = margins.map(
    (margin) => (1 - label_smoothing) * softplus(-margin) + label_smoothing * softplus(margin),
  );
  return {
    loss: mean(losses),
    "rewards/chosen": mean(chosen),
    "rewards/rejected": mean(rejected),
    "rewards/accuracies": mean(margins.map((margin) => (margin > 0 ? 1 : 0))),
    "rewards/margins": mean(margins),
    "logps/chosen": mean(logps.chosen),
    "logps/rejected": mean(logps.rejected),
  };
}
