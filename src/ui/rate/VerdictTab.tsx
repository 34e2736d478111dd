/** Who won, how sure, and everything that sentence rests on. */
import { Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { PairFigures } from "../../shared/ratings/figures";
import { planSentence, verdictSentence, verdictText } from "../../shared/ratings/sentence";
import type { Interval } from "../../shared/stats/binomial";
import type { Rating } from "../../stores/ratings";
import { formatPercent, formatValue } from "../common/format";
import { type Fact, Facts, Section } from "../common/Page";
import { useFormat } from "../common/use-format";
import { type IntervalRow, Intervals } from "./Intervals";
import { LeverageNotes } from "./LeverageNotes";
import { pText } from "./p-text";

export interface VerdictTabProps {
  readonly rating: Rating;
  readonly figures: PairFigures | null;
}

export function VerdictTab({ rating, figures }: VerdictTabProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const { session } = rating.record;
  if (figures === null)
    return (
      <Section title={t("verdicts.none_title")}>
        <Text>{verdictText(planSentence(session.items.length), format.language)}</Text>
        <Text size="sm" c="dimmed" mt={6}>
          {t("verdicts.none_text")}
        </Text>
        <Link to={`/rate/${session.id}`}>{t("ratings.rate_here")}</Link>
      </Section>
    );
  return <Voted figures={figures} />;
}

function Voted({ figures }: { readonly figures: PairFigures }) {
  const { t } = useTranslation();
  const { language } = useFormat();
  const rows = useRows(figures);
  const facts = useAgreementFacts(figures);
  const { verdict } = figures;
  return (
    <Stack gap="lg">
      <Section title={t("verdicts.title")}>
        <p className="ng-verdict">{verdictText(verdictSentence(verdict), language)}</p>
        <Wins figures={figures} />
        <SideWarnings figures={figures} />
        <Text size="sm" c="dimmed" mt="sm">
          {t("verdicts.tie_rule")}
        </Text>
      </Section>
      <Section title={t("verdicts.how_sure")} help={t("verdicts.how_sure_help", { model: shownModel(figures) })}>
        <Intervals
          caption={t("verdicts.how_sure")}
          heads={[t("verdicts.figure"), t("verdicts.value95")]}
          low={0}
          high={1}
          middle={0.5}
          rows={rows}
        />
      </Section>
      <Section title={t("verdicts.raters_agree")}>
        <Facts facts={facts} />
      </Section>
      <LeverageNotes figures={figures} />
    </Stack>
  );
}

const pair = (bounds: readonly [number, number] | null): Interval | null =>
  bounds === null ? null : { low: bounds[0], high: bounds[1] };

export function shareText(value: number | null, interval: Interval | null): string {
  const share = formatPercent(value);
  return interval === null ? share : `${share} (${formatPercent(interval.low)} – ${formatPercent(interval.high)})`;
}

/** The figures are those of whoever leads; B where nobody does. */
const turned = ({ verdict: { wins } }: PairFigures): boolean => wins.A > wins.B;
const shownModel = (figures: PairFigures): string => figures.verdict.models[turned(figures) ? 0 : 1];

function useRows(figures: PairFigures): IntervalRow[] {
  const { t } = useTranslation();
  const { verdict, over_prompts, over_votes, length } = figures;
  const decided = verdict.wins.A + verdict.wins.B;
  const share = decided === 0 ? null : verdict.wins.B / decided;
  const turn = turned(figures);
  const row = (
    key: "exact" | "wilson" | "prompts" | "votes" | "length",
    ofB: number | null,
    intervalOfB: Interval | null,
  ): IntervalRow => {
    const value = ofB === null || !turn ? ofB : 1 - ofB;
    const interval =
      intervalOfB === null || !turn ? intervalOfB : { low: 1 - intervalOfB.high, high: 1 - intervalOfB.low };
    return { key, label: t(`verdicts.interval_${key}`), value, interval, text: shareText(value, interval) };
  };
  return [
    row("exact", share, pair(verdict.decided_b_exact95)),
    row("wilson", share, pair(verdict.decided_b_wilson95)),
    row("prompts", verdict.win_rate_b, over_prompts),
    row("votes", verdict.win_rate_b, over_votes),
    row("length", length?.win_rate ?? null, length?.interval95 ?? null),
  ];
}

/** Raters who press one side whatever stands there; 5 % over all raters (Bonferroni). */
function SideWarnings({ figures }: { readonly figures: PairFigures }) {
  const { t } = useTranslation();
  const { raters } = figures;
  const biased = raters.filter(({ side }) => side.p !== null && side.p < 0.05 / raters.length);
  return biased.map(({ rater, side }) => (
    <p key={rater} className="ng-notice" data-tone="warn">
      {t("verdicts.side_warning", {
        rater,
        share: formatPercent(side.rate, 0),
        sided: side.sided,
        p: pText(side.p),
      })}
    </p>
  ));
}

function useAgreementFacts(figures: PairFigures): Fact[] {
  const { t } = useTranslation();
  const format = useFormat();
  const { verdict, consistency, side } = figures;
  return [
    { label: t("verdicts.items_voted"), value: format.count(verdict.items) },
    { label: t("verdicts.votes_counted"), value: format.count(verdict.votes) },
    { label: t("verdicts.skips"), value: format.count(figures.skipped) },
    { label: t("verdicts.sign_test"), value: pText(verdict.sign_test_p) },
    { label: t("verdicts.needed"), value: format.count(verdict.items_for_80_power) },
    { label: t("verdicts.kappa"), value: formatValue(verdict.fleiss_kappa, 3) },
    { label: t("verdicts.alpha"), value: formatValue(verdict.krippendorff_alpha, 3) },
    {
      label: t("verdicts.self_consistency"),
      value: t("verdicts.of_repeats", {
        share: shareText(consistency.share, consistency.exact95),
        same: consistency.same,
        repeats: consistency.repeats,
      }),
    },
    {
      label: t("verdicts.left_rate"),
      value: t("verdicts.with_p", { value: shareText(side.rate, side.exact95), p: pText(side.p) }),
    },
  ];
}

function Wins({ figures: { verdict } }: { readonly figures: PairFigures }) {
  const { t } = useTranslation();
  const [a, b] = verdict.models;
  const parts = [
    { key: "a", name: a, count: verdict.wins.A, color: "--ng-run-1" },
    { key: "tie", name: t("verdicts.ties"), count: verdict.wins.tie, color: "--ng-border-strong" },
    { key: "b", name: b, count: verdict.wins.B, color: "--ng-run-2" },
  ];
  return (
    <>
      <div className="ng-wins" aria-hidden>
        {parts.map(({ key, count, color }) =>
          count === 0 ? null : <span key={key} style={{ flexGrow: count, background: `var(${color})` }} />,
        )}
      </div>
      <ul className="ng-wins-legend ng-numeric">
        {parts.map(({ key, name, count, color }) => (
          <li key={key}>
            <span className="ng-dot" style={{ color: `var(${color})` }} />
            {name} <b>{t("verdicts.items_count", { count })}</b>
          </li>
        ))}
      </ul>
    </>
  );
}
