/** Does the reward model want what people want? Agreement, ranks, calibration, and where the two see it differently. */
import { SegmentedControl, Stack, Table, Text } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { RatingSession } from "../../shared/protocol/rating";
import type { PairFigures, RewardFigures } from "../../shared/ratings/figures";
import type { Rating } from "../../stores/ratings";
import { CalibrationPlot } from "../charts/StillCharts";
import { formatPercent, formatValue } from "../common/format";
import { Facts, Section } from "../common/Page";
import { useFormat } from "../common/use-format";
import { pText } from "./p-text";
import { shareText } from "./VerdictTab";
import "../charts/charts.css";

const LISTED = 10;

export function RewardTab({ rating, figures }: { readonly rating: Rating; readonly figures: PairFigures | null }) {
  const { t } = useTranslation();
  const [chosen, setChosen] = useState<string | null>(null);
  const shown = figures?.rewards.find(({ reward }) => reward === chosen) ?? figures?.rewards[0];
  if (figures === null || shown === undefined)
    return (
      <Section title={t("verdicts.reward_title")}>
        <Text>{t("verdicts.reward_none")}</Text>
      </Section>
    );
  return (
    <Stack gap="lg">
      {figures.rewards.length > 1 && (
        <SegmentedControl
          aria-label={t("verdicts.reward_title")}
          value={shown.reward}
          onChange={setChosen}
          data={figures.rewards.map(({ reward }) => reward)}
        />
      )}
      <Agreement shown={shown} models={figures.verdict.models} />
      <Disagreements session={rating.record.session} shown={shown} models={figures.verdict.models} />
      <Outliers session={rating.record.session} shown={shown} />
    </Stack>
  );
}

interface ShownProps {
  readonly shown: RewardFigures;
  readonly models: readonly [string, string];
}

function Agreement({ shown: { reward, people }, models: [a, b] }: ShownProps) {
  const { t } = useTranslation();
  const format = useFormat();
  return (
    <Section title={t("verdicts.reward_agreement", { reward })} help={t("verdicts.reward_help", { a, b })}>
      <div className="ng-two">
        <Facts
          facts={[
            {
              label: t("verdicts.agreement"),
              value: t("verdicts.agreement_value", {
                share: shareText(people.agreement, people.agreement_exact95),
                agreed: people.agreed,
                compared: people.compared,
              }),
            },
            { label: t("verdicts.p_half"), value: pText(people.agreement_p) },
            { label: t("verdicts.spearman"), value: formatValue(people.spearman, 3) },
            { label: t("verdicts.kendall"), value: formatValue(people.kendall, 3) },
            { label: t("verdicts.items_both"), value: format.count(people.items) },
          ]}
        />
        {people.calibration.length > 0 && (
          <CalibrationPlot
            bins={people.calibration.map(({ items, predicted, observed }, at) => ({
              low: at,
              high: at + 1,
              count: items,
              mean_predicted: predicted,
              share_positive: observed,
            }))}
            label={people.calibration
              .map(({ items, predicted, observed }) =>
                t("verdicts.calibration_bin", {
                  count: items,
                  predicted: formatPercent(predicted),
                  observed: formatPercent(observed),
                }),
              )
              .join(" ")}
            xLabel={t("verdicts.calibration_x")}
            yLabel={t("verdicts.calibration_y")}
            perfectLabel={t("result.calibration_perfect")}
            hint={(bin) =>
              t("verdicts.calibration_bin", {
                count: bin.count,
                predicted: formatPercent(bin.mean_predicted),
                observed: formatPercent(bin.share_positive),
              })
            }
          />
        )}
      </div>
    </Section>
  );
}

function textsOf(session: RatingSession, id: string) {
  return session.items.find(({ item }) => String(item) === id);
}

function Disagreements({ session, shown, models }: ShownProps & { readonly session: RatingSession }) {
  const { t } = useTranslation();
  const [a, b] = models;
  const worst = shown.people.disagreements.slice(0, LISTED);
  return (
    <Section title={t("verdicts.disagree")} help={t("verdicts.disagree_help")}>
      {worst.length === 0 ? (
        <Text size="sm">{t("verdicts.disagree_none")}</Text>
      ) : (
        <Table className="ng-verdict-table ng-numeric" aria-label={t("verdicts.disagree")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("verdicts.id")}</Table.Th>
              <Table.Th scope="col">{a}</Table.Th>
              <Table.Th scope="col">{b}</Table.Th>
              <Table.Th scope="col" data-narrow>
                {t("verdicts.difference")}
              </Table.Th>
              <Table.Th scope="col" data-narrow>
                {t("verdicts.share_of", { model: b })}
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {worst.map(({ item, difference, share_b }) => {
              const found = textsOf(session, item);
              return (
                <Table.Tr key={item}>
                  <Table.Th scope="row" fw={400}>
                    {item}
                  </Table.Th>
                  {[a, b].map((model) => (
                    <Table.Td key={model}>
                      <span className="ng-cell-head">{model}</span>
                      <p className="ng-sentence" lang="ja">
                        <mark>{found?.prompt}</mark>
                        {found?.texts.find((text) => text.model === model)?.text}
                      </p>
                    </Table.Td>
                  ))}
                  <Table.Td>
                    <span className="ng-cell-head">{t("verdicts.difference")}</span>
                    {difference > 0 ? "+" : ""}
                    {formatValue(difference, 3)}
                  </Table.Td>
                  <Table.Td>
                    <span className="ng-cell-head">{t("verdicts.share_of", { model: b })}</span>
                    {formatPercent(share_b, 0)}
                  </Table.Td>
                </Table.Tr>
              );
            })}
          </Table.Tbody>
        </Table>
      )}
    </Section>
  );
}

function Outliers({ session, shown }: { readonly session: RatingSession; readonly shown: RewardFigures }) {
  const { t } = useTranslation();
  return (
    <Section title={t("verdicts.outliers")} help={t("verdicts.outliers_help")}>
      {shown.outliers.length === 0 ? (
        <Text size="sm">{t("verdicts.outliers_none")}</Text>
      ) : (
        <Table className="ng-numeric" aria-label={t("verdicts.outliers")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("verdicts.id")}</Table.Th>
              <Table.Th scope="col">{t("verdicts.model")}</Table.Th>
              <Table.Th scope="col">{t("verdicts.outlier_value")}</Table.Th>
              <Table.Th scope="col">{t("verdicts.outlier_z")}</Table.Th>
              <Table.Th scope="col">{t("verdicts.outlier_text")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {shown.outliers.slice(0, LISTED).map(({ item, model, value, robust_z }) => {
              const found = textsOf(session, item);
              const text = found?.texts.find((one) => one.model === model)?.text;
              return (
                <Table.Tr key={`${item} ${model}`}>
                  <Table.Th scope="row" fw={400}>
                    {item}
                  </Table.Th>
                  <Table.Td>{model ?? t("verdicts.difference")}</Table.Td>
                  <Table.Td>{formatValue(value, 3)}</Table.Td>
                  <Table.Td>{formatValue(robust_z, 2)}</Table.Td>
                  <Table.Td>
                    <span className="ng-sentence" lang="ja">
                      {found?.prompt}
                      {text}
                    </span>
                  </Table.Td>
                </Table.Tr>
              );
            })}
          </Table.Tbody>
        </Table>
      )}
    </Section>
  );
}
