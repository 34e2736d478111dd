/** The horizontal lines of a run's charts: what a curve has to beat, reach or stay near. */
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import type { StageConfig } from "../../shared/protocol/config";
import type { RunDetail } from "../../stores/run-detail";
import type { PlotReference } from "../charts/plot";
import type { ReferenceKind } from "./stage-charts";

const NONE: readonly PlotReference[] = [];

/** Stable for the same kind and stage, as `useRunSource` needs it. */
export function useReferences(
  kind: ReferenceKind | undefined,
  stage: StageConfig | undefined,
): (detail: RunDetail) => readonly PlotReference[] {
  const { t } = useTranslation();
  return useCallback(
    (detail) => {
      const baselines = detail.prepared?.baselines ?? null;
      const target = stage?.stage === "ppo" ? stage.target_kl : null;
      const line = (label: string, value: number | null | undefined, color = "--ng-ref-majority"): PlotReference[] =>
        value === null || value === undefined ? [] : [{ label, value, color }];
      switch (kind) {
        case undefined:
          return NONE;
        case "baselines":
          return [
            ...line(t("charts.ngram"), baselines?.ngram_accuracy, "--ng-ref-ngram"),
            ...line(t("charts.majority"), baselines?.majority_accuracy),
          ];
        case "auc":
          return [...line(t("charts.ngram"), baselines?.ngram_auc, "--ng-ref-ngram"), ...line(t("charts.chance"), 0.5)];
        case "target_kl":
          return line(t("charts.target"), target, "--ng-ref-ngram");
        case "reward_baseline":
          return line(t("charts.reward_baseline"), rewardBaseline(stage, detail), "--ng-ref-ngram");
        case "one":
          return line(t("charts.unchanged"), 1);
        case "half":
          return line(t("charts.chance"), 0.5);
      }
    },
    [t, kind, stage],
  );
}

/** What PPO subtracts from every reward: set by hand, or measured and logged; null while unknown. */
function rewardBaseline(stage: StageConfig | undefined, detail: RunDetail): number | null {
  if (stage?.stage !== "ppo") return null;
  return stage.reward_baseline === "auto" ? detail.log.last("objective/reward_baseline") : stage.reward_baseline;
}
