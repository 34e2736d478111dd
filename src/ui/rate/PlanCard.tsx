/** Before the first vote: what a session of this size can show, and how many items it would take. */
import { Table, Text } from "@mantine/core";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { planSentence, verdictText } from "../../shared/ratings/sentence";
import { itemsFor80Power, signTestPower } from "../../shared/stats/power";
import { formatPercent } from "../common/format";
import { Facts, Section } from "../common/Page";
import { useFormat } from "../common/use-format";
import type { RatingPlan } from "./new-rating";

const SHARES = [0.55, 0.6, 0.65, 0.7, 0.8] as const;
/** Seconds a vote takes with short reviews; only for the estimate. */
const SECONDS = 12;

export interface PlanCardProps {
  readonly plan: RatingPlan;
  readonly pairs: number;
  readonly repeats: number;
}

export function PlanCard({ plan, pairs, repeats }: PlanCardProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const items = plan.items_per_pair;
  const { sentence, rows } = useMemo(
    () => ({
      sentence: planSentence(items),
      rows: SHARES.map((share) => ({ share, needed: itemsFor80Power(share), power: signTestPower(items, share) })),
    }),
    [items],
  );
  return (
    <Section title={t("ratings.plan")} help={t("ratings.plan_help")}>
      <div className="ng-plan">
        <div>
          <p
            className="ng-notice ng-plan-sentence"
            data-tone={sentence.key === "plan_enough" ? "good" : "warn"}
            role="status"
          >
            {verdictText(sentence, format.language)}
          </p>
          <Facts
            facts={[
              { label: t("ratings.plan_showings"), value: format.count(plan.showings) },
              { label: t("ratings.plan_repeats"), value: format.count(repeats) },
              { label: t("ratings.plan_time"), value: format.duration(plan.showings * SECONDS) },
              ...(pairs > 1 ? [{ label: t("ratings.plan_per_pair"), value: format.count(items) }] : []),
            ]}
          />
        </div>
        <Table className="ng-numeric" aria-label={t("ratings.plan")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("ratings.plan_share")}</Table.Th>
              <Table.Th scope="col">{t("ratings.plan_needed")}</Table.Th>
              <Table.Th scope="col">{t("ratings.plan_power")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map(({ share, needed, power }) => (
              <Table.Tr key={share}>
                <Table.Th scope="row">{formatPercent(share, 0)}</Table.Th>
                <Table.Td>{format.count(needed)}</Table.Td>
                <Table.Td>{formatPercent(power, 0)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      <Text size="sm" c="dimmed" mt="xs">
        {t("ratings.plan_note")}
      </Text>
    </Section>
  );
}
