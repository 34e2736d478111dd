/** Whether the accuracy is worth anything, as a sentence. */
import { useTranslation } from "react-i18next";
import type { RewardStageConfig } from "../../shared/protocol/config";
import { useRuns } from "../../stores/runs";
import { formatPercent } from "../common/format";
import { useFormat } from "../common/use-format";
import { useRecord } from "./use-run";
import { verdict } from "./verdict";

export interface VerdictNoticeProps {
  readonly accuracy: number | null;
  readonly majority: number | null;
  readonly ngram: number | null;
  /** No training is left that could change it. */
  readonly final: boolean;
  /** Said before the first evaluation. */
  readonly waiting?: string;
}

export function VerdictNotice({ accuracy, majority, ngram, final, waiting }: VerdictNoticeProps) {
  const { t } = useTranslation();
  const kind = verdict(accuracy, majority, ngram);
  if (kind === "waiting") return waiting === undefined ? null : <div className="ng-notice">{waiting}</div>;
  const above = kind === "above_both";
  return (
    <div className="ng-notice" data-tone={above ? "good" : "warn"}>
      {t(`verdict.${kind}`, {
        accuracy: formatPercent(accuracy),
        majority: formatPercent(majority),
        ngram: formatPercent(ngram),
      })}
      {final && !above && ` ${t("verdict.at_end")}`}
    </div>
  );
}

/** The same of a run as it goes on. */
export function VerdictText({ runId, stage }: { readonly runId: string; readonly stage: RewardStageConfig }) {
  const { t } = useTranslation();
  const format = useFormat();
  const accuracy = useRuns((state) => state.details[runId]?.eval.last("eval_accuracy") ?? null);
  const baselines = useRuns((state) => state.details[runId]?.prepared?.baselines ?? null);
  const state = useRecord(runId, (record) => record.state);
  return (
    <VerdictNotice
      accuracy={accuracy}
      majority={baselines?.majority_accuracy ?? null}
      ngram={baselines?.ngram_accuracy ?? null}
      final={state === "finished"}
      waiting={t("verdict.waiting", { steps: format.count(stage.eval_steps) })}
    />
  );
}
