/** The one number to know of a stage, from its final metrics or the newest ones. */
import type { TFunction } from "i18next";
import type { StageConfig } from "../../shared/protocol/config";
import { formatPercent, formatValue } from "../common/format";

/** The newest value of a metric, null where there is none. */
export type MetricLookup = (key: string) => number | null;

/** In words; empty while there is nothing to say. */
export function keyFigure(stage: StageConfig["stage"], metric: MetricLookup, t: TFunction): string {
  const first = (...keys: string[]) => keys.map(metric).find((value) => value !== null) ?? null;
  switch (stage) {
    case "sft": {
      const perplexity = metric("eval_perplexity");
      if (perplexity !== null) return t("key_figures.sft", { value: formatValue(perplexity, 3) });
      const loss = first("eval_loss", "loss");
      return loss === null ? "" : t("key_figures.loss", { value: formatValue(loss, 3) });
    }
    case "reward": {
      const accuracy = first("test_accuracy", "eval_accuracy");
      if (accuracy !== null) return t("key_figures.reward", { value: formatPercent(accuracy) });
      const loss = metric("loss");
      return loss === null ? "" : t("key_figures.loss", { value: formatValue(loss, 3) });
    }
    case "ppo": {
      const [reward, kl] = [metric("objective/scores"), metric("objective/kl")];
      return reward === null ? "" : t("key_figures.ppo", { reward: formatValue(reward, 3), kl: formatValue(kl, 3) });
    }
    case "dpo": {
      const accuracy = first("eval_rewards/accuracies", "rewards/accuracies");
      return accuracy === null ? "" : t("key_figures.dpo", { value: formatPercent(accuracy) });
    }
    case "evaluate": {
      const difference = metric("reward_difference");
      return difference === null ? "" : t("key_figures.evaluate", { value: formatValue(difference, 3) });
    }
    case "merge":
      return "";
  }
}
