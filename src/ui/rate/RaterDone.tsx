/** The end of a rater's page: thanks, what was voted in figures, and what to do next. */
import { Button, Group } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { BlindVote, RaterPage } from "../../shared/protocol/rating";
import { formatValue } from "../common/format";
import { Facts } from "../common/Page";
import { useFormat } from "../common/use-format";

export interface RaterTotals {
  readonly votes: number;
  readonly skipped: number;
  /** Median of a vote, in seconds; null without votes. */
  readonly median_seconds: number | null;
}

export interface RaterDoneProps {
  readonly page: RaterPage;
  readonly answers: ReadonlyMap<number, BlindVote>;
  readonly onRevisit: () => void;
  readonly onUndo: () => void;
  readonly done: ((totals: RaterTotals) => ReactNode) | undefined;
}

export function raterTotals(answers: Iterable<BlindVote>): RaterTotals {
  const all = [...answers];
  const times = all.map(({ ms }) => ms / 1000).sort((one, other) => one - other);
  const middle = times.length / 2;
  const [low, high] = [times[Math.ceil(middle) - 1], times[Math.floor(middle)]];
  return {
    votes: all.filter(({ choice }) => choice !== "skip").length,
    skipped: all.filter(({ choice }) => choice === "skip").length,
    median_seconds: low === undefined || high === undefined ? null : (low + high) / 2,
  };
}

export function RaterDone({ page, answers, onRevisit, onUndo, done }: RaterDoneProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const totals = raterTotals(answers.values());
  return (
    <section className="ng-rate-done">
      <h1>{t("rate.done_title")}</h1>
      <p>{t("rate.done_text", { name: page.rater })}</p>
      <Facts
        facts={[
          { label: t("rate.votes"), value: format.count(totals.votes) },
          { label: t("rate.skipped"), value: format.count(totals.skipped) },
          {
            label: t("rate.median"),
            value:
              totals.median_seconds === null
                ? "–"
                : t("raters.seconds", { value: formatValue(totals.median_seconds, 2) }),
          },
        ]}
      />
      {done?.(totals)}
      <Group gap="xs" mt="md">
        <Button variant="default" onClick={onUndo}>
          {t("rate.undo_last")}
        </Button>
        {totals.skipped > 0 && (
          <Button variant="default" onClick={onRevisit}>
            {t("rate.revisit")}
          </Button>
        )}
      </Group>
    </section>
  );
}
