/** Whether the accuracy is worth anything, as a sentence. */
import { useTranslation } from "react-i18next";
import { formatPercent } from "../common/format";
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
