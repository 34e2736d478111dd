/** Which curves a stage's run shows, and in which groups. What else a run logs follows in a folded group of its own. */
import type { StageConfig } from "../../shared/protocol/config";
import type { MetricKey } from "../charts/metrics";

export type ChartTable = "log" | "eval";

/** Horizontal lines to read a curve against. */
export type ReferenceKind = "baselines" | "auc" | "target_kl" | "reward_baseline" | "one" | "half";

export interface ChartSpec {
  readonly metric: MetricKey;
  readonly table: ChartTable;
  readonly size: "large" | "small";
  readonly reference?: ReferenceKind;
}

export type ChartGroupName = "progress" | "goal" | "texts" | "policy" | "value" | "pairs" | "training";

export interface ChartGroup {
  readonly name: ChartGroupName;
  readonly charts: readonly ChartSpec[];
}

const log = (metric: MetricKey, size: ChartSpec["size"] = "small", reference?: ReferenceKind): ChartSpec => ({
  metric,
  table: "log",
  size,
  ...(reference === undefined ? {} : { reference }),
});
const evaluation = (metric: MetricKey, size: ChartSpec["size"] = "large", reference?: ReferenceKind): ChartSpec => ({
  ...log(metric, size, reference),
  table: "eval",
});

const TRAINING: ChartGroup = {
  name: "training",
  charts: [log("grad_norm"), log("learning_rate"), log("tokens_per_second")],
};

export const STAGE_CHARTS: Readonly<Record<StageConfig["stage"], readonly ChartGroup[]>> = {
  sft: [
    { name: "progress", charts: [log("loss", "large"), evaluation("eval_loss"), evaluation("eval_perplexity")] },
    TRAINING,
  ],
  reward: [
    {
      name: "progress",
      charts: [
        log("loss", "large"),
        evaluation("eval_accuracy", "large", "baselines"),
        evaluation("eval_auc", "large", "auc"),
        evaluation("eval_loss"),
      ],
    },
    {
      name: "goal",
      charts: [
        evaluation("eval_margin", "small"),
        evaluation("eval_mean_reward", "small"),
        evaluation("eval_length_correlation", "small"),
      ],
    },
    TRAINING,
  ],
  ppo: [
    {
      name: "goal",
      charts: [
        log("objective/scores", "large", "reward_baseline"),
        log("objective/kl", "large", "target_kl"),
        log("objective/rlhf_reward", "large"),
        log("objective/entropy", "large"),
      ],
    },
    {
      name: "texts",
      charts: [log("response_length"), log("distinct2"), log("share_cut_off"), log("val/num_eos_tokens")],
    },
    {
      name: "policy",
      charts: [
        log("loss/policy_avg"),
        log("policy/approxkl_avg"),
        log("policy/clipfrac_avg"),
        log("val/ratio", "small", "one"),
        log("policy/entropy_avg"),
        log("objective/kl_coef"),
      ],
    },
    { name: "value", charts: [log("loss/value_avg"), log("val/explained_variance"), log("val/clipfrac_avg")] },
    { name: "training", charts: [log("grad_norm"), log("learning_rate"), log("eps")] },
  ],
  dpo: [
    {
      name: "progress",
      charts: [
        log("loss", "large"),
        evaluation("eval_loss"),
        log("rewards/accuracies", "large", "half"),
        evaluation("eval_rewards/accuracies", "large", "half"),
      ],
    },
    {
      name: "pairs",
      charts: [
        log("rewards/margins"),
        log("rewards/chosen"),
        log("rewards/rejected"),
        evaluation("eval_rewards/margins", "small"),
        log("logps/chosen"),
        log("logps/rejected"),
      ],
    },
    TRAINING,
  ],
  merge: [],
  evaluate: [],
};

/** Columns of a series that are no metric to look at. */
const BOOKKEEPING: ReadonlySet<string> = new Set([
  "step",
  "time",
  "epoch",
  "num_tokens",
  "episode",
  "lr",
  "objective/reward_baseline",
]);

/** What the run logged beyond its stage's charts. */
export function otherMetrics(stage: StageConfig["stage"], table: ChartTable, keys: readonly string[]): string[] {
  const shown = new Set<string>(
    STAGE_CHARTS[stage].flatMap(({ charts }) =>
      charts.flatMap((chart) => (chart.table === table ? [chart.metric] : [])),
    ),
  );
  return keys.filter((key) => !shown.has(key) && !BOOKKEEPING.has(key));
}
