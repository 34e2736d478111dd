/**
 * The metrics that screens know by name: how their numbers are written and how their axis lies. Keys are trl's and
 * transformers'; `slug` is the key in the catalogues (metrics.SLUG.label, .help). Any other key is shown as it is.
 */
import { formatPercent, formatTick, formatValue } from "../common/format";
import { around, fromZero, share } from "./ranges";

/** percent: a share. value: a number. exact: small numbers with an exponent. count: whole. */
type Written = "percent" | "value" | "exact" | "count";

interface MetricSpec {
  readonly slug: string;
  readonly written: Written;
  /** From zero, so that heights compare; around what is there; within 0 and 1. */
  readonly range: "zero" | "around" | "share";
}

const value = <S extends string>(slug: S, range: MetricSpec["range"] = "around") =>
  ({ slug, written: "value", range }) as const;
const percent = <S extends string>(slug: S) => ({ slug, written: "percent", range: "share" }) as const;

export const METRICS = {
  loss: value("loss", "zero"),
  eval_loss: value("eval_loss", "zero"),
  eval_perplexity: value("eval_perplexity", "zero"),
  learning_rate: { slug: "learning_rate", written: "exact", range: "zero" },
  grad_norm: value("grad_norm", "zero"),
  tokens_per_second: { slug: "tokens_per_second", written: "count", range: "zero" },
  eval_accuracy: percent("eval_accuracy"),
  eval_auc: { slug: "eval_auc", written: "value", range: "share" },
  eval_margin: value("eval_margin"),
  eval_mean_reward: value("eval_mean_reward"),
  eval_length_correlation: value("eval_length_correlation"),
  "objective/rlhf_reward": value("objective_rlhf_reward"),
  "objective/scores": value("objective_scores"),
  "objective/kl": value("objective_kl"),
  "objective/non_score_reward": value("objective_non_score_reward"),
  "objective/entropy": value("objective_entropy", "zero"),
  "objective/kl_coef": value("objective_kl_coef", "zero"),
  response_length: value("response_length", "zero"),
  distinct2: percent("distinct2"),
  share_cut_off: percent("share_cut_off"),
  "val/num_eos_tokens": { slug: "val_num_eos_tokens", written: "count", range: "zero" },
  "policy/approxkl_avg": { slug: "policy_approxkl_avg", written: "exact", range: "zero" },
  "policy/clipfrac_avg": percent("policy_clipfrac_avg"),
  "policy/entropy_avg": value("policy_entropy_avg", "zero"),
  "loss/policy_avg": value("loss_policy_avg"),
  "loss/value_avg": value("loss_value_avg", "zero"),
  "val/ratio": value("val_ratio"),
  "val/ratio_var": { slug: "val_ratio_var", written: "exact", range: "zero" },
  "val/clipfrac_avg": percent("val_clipfrac_avg"),
  "val/explained_variance": value("explained_variance"),
  eps: value("eps", "zero"),
  "rewards/chosen": value("rewards_chosen"),
  "rewards/rejected": value("rewards_rejected"),
  "rewards/margins": value("rewards_margins"),
  "rewards/accuracies": percent("rewards_accuracies"),
  "logps/chosen": value("logps_chosen"),
  "logps/rejected": value("logps_rejected"),
  "eval_rewards/margins": value("eval_rewards_margins"),
  "eval_rewards/accuracies": percent("eval_rewards_accuracies"),
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricKey = keyof typeof METRICS;

export function isMetric(key: string): key is MetricKey {
  return Object.hasOwn(METRICS, key);
}

const RANGES = { zero: fromZero, around, share } as const;

export interface MetricStyle {
  readonly format: (value: number) => string;
  readonly formatTick: (value: number) => string;
  readonly range: (low: number, high: number) => [number, number];
}

const FORMATS: Readonly<Record<Written, Pick<MetricStyle, "format" | "formatTick">>> = {
  percent: { format: (value) => formatPercent(value), formatTick: (value) => formatPercent(value, 0) },
  value: { format: (value) => formatValue(value, 3), formatTick },
  exact: { format: (value) => formatValue(value), formatTick },
  count: { format: (value) => Math.round(value).toLocaleString("en-US"), formatTick },
};

const UNKNOWN: MetricStyle = { ...FORMATS.value, range: around };

/** How to write and draw a metric; stable, so that charts are not made anew. */
export function styleOf(key: string): MetricStyle {
  return isMetric(key) ? STYLES[key] : UNKNOWN;
}

const STYLES = Object.fromEntries(
  Object.entries(METRICS).map(([key, spec]) => [key, { ...FORMATS[spec.written], range: RANGES[spec.range] }]),
) as Record<MetricKey, MetricStyle>;
