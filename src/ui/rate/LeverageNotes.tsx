/** How much the verdict hangs on single votes and on single raters. */
import { Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { PairFigures } from "../../shared/ratings/figures";
import type { Standing } from "../../shared/ratings/leverage";
import { formatPercent } from "../common/format";
import { Section } from "../common/Page";
import { useFormat } from "../common/use-format";
import { pText } from "./p-text";

/** Votes that are listed; the counts say the rest. */
const LISTED = 8;

export function LeverageNotes({ figures }: { readonly figures: PairFigures }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { leverage, verdict, items } = figures;
  const [a, b] = verdict.models;
  const leader = ({ leader: who }: Standing): string => (who === null ? t("verdicts.nobody") : who === "A" ? a : b);
  // Of whoever leads with all votes, as the figures above.
  const shown = verdict.wins.A > verdict.wins.B ? a : b;
  const rateOf = ({ win_rate_b: rate }: Standing): number | null => (rate === null || shown === b ? rate : 1 - rate);
  const cells = (standing: Standing) => (
    <>
      <Table.Td>{leader(standing)}</Table.Td>
      <Table.Td>{formatPercent(rateOf(standing))}</Table.Td>
      <Table.Td>{pText(standing.sign_test_p)}</Table.Td>
    </>
  );
  const rows = [
    { key: "all", name: t("verdicts.with_all"), standing: leverage.standing },
    ...(leverage.raters.length > 1
      ? leverage.raters.map(({ rater, without }) => ({
          key: `rater ${rater}`,
          name: t("verdicts.without_rater", { rater }),
          standing: without,
        }))
      : []),
    ...leverage.votes.slice(0, LISTED).map(({ item, outcome, without }) => ({
      key: `vote ${item} ${outcome}`,
      name: t("verdicts.without_vote", {
        item: items[item] ?? "",
        choice: outcome === 0 ? a : outcome === 1 ? b : t("verdicts.tie"),
      }),
      standing: without,
    })),
  ];
  return (
    <Section title={t("verdicts.leverage")} help={t("verdicts.leverage_help")}>
      <Text size="sm" mb="xs">
        {t("verdicts.leverage_counts", {
          votes: format.count(verdict.votes),
          majority: format.count(leverage.change_majority),
          leader: format.count(leverage.change_leader),
          significance: format.count(leverage.change_significance),
        })}
      </Text>
      <Table.ScrollContainer
        minWidth={460}
        scrollAreaProps={{
          viewportProps: {
            tabIndex: 0,
            role: "region",
            "aria-label": t("verdicts.scrolled", { name: t("verdicts.leverage") }),
          },
        }}
      >
        <Table className="ng-numeric" aria-label={t("verdicts.leverage")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("verdicts.left_out")}</Table.Th>
              <Table.Th scope="col">{t("verdicts.leader")}</Table.Th>
              <Table.Th scope="col">{t("verdicts.win_rate_of", { model: shown })}</Table.Th>
              <Table.Th scope="col">{t("verdicts.p_value")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map(({ key, name, standing }) => (
              <Table.Tr key={key}>
                <Table.Th scope="row" fw={400}>
                  {name}
                </Table.Th>
                {cells(standing)}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Section>
  );
}
