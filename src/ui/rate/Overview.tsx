/** Three models or more: strengths and every pair; and win rates against KL, where the evaluation measured it. */
import { Stack, Table, Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import type { Overview as Figures } from "../../shared/ratings/figures";
import { useFigures } from "../../stores/figures";
import type { Rating } from "../../stores/ratings";
import { formatPercent, formatValue } from "../common/format";
import { Section } from "../common/Page";
import { Intervals } from "./Intervals";
import { KlChart } from "./KlChart";

export function Overview({ rating }: { readonly rating: Rating }) {
  const { id, models } = rating.record.session;
  const computed = useFigures((state) => state.overviews[id]);
  const { computeOverview } = useFigures.getState();
  const several = models.length > 2;
  useEffect(() => {
    if (several) void computeOverview(rating);
  }, [several, computeOverview, rating]);
  if (!several || computed?.value.status !== "ready" || computed.value.value.pairs.length === 0) return null;
  return (
    <Stack gap="lg" mt="lg">
      <Strengths figures={computed.value.value} />
      <Pairs rating={rating} figures={computed.value.value} />
      <KlChart rating={rating} figures={computed.value.value} />
    </Stack>
  );
}

function Strengths({ figures: { strengths, models } }: { readonly figures: Figures }) {
  const { t } = useTranslation();
  if (strengths === null) return null;
  const nameOf = (at: number): string => models[at] ?? "";
  if (strengths.kind === "refused") {
    const groups = strengths.groups.map((group) => group.map(nameOf).join(", "));
    return (
      <Section title={t("verdicts.strengths")} help={t("verdicts.strengths_help")}>
        <Text size="sm">{t(`verdicts.${strengths.reason}`, { first: groups[0] ?? "", other: groups[1] ?? "" })}</Text>
      </Section>
    );
  }
  const order = [...strengths.strengths.keys()].sort(
    (one, other) => (strengths.strengths[other]?.log_strength ?? 0) - (strengths.strengths[one]?.log_strength ?? 0),
  );
  const reach = Math.max(
    1,
    ...strengths.strengths.flatMap(({ interval95 }) => [Math.abs(interval95.low), Math.abs(interval95.high)]),
  );
  return (
    <Section title={t("verdicts.strengths")} help={t("verdicts.strengths_help")}>
      <Intervals
        caption={t("verdicts.strengths")}
        heads={[t("verdicts.model"), t("verdicts.value95")]}
        low={-reach}
        high={reach}
        middle={0}
        rows={order.flatMap((at) => {
          const one = strengths.strengths[at];
          if (one === undefined) return [];
          const { low, high } = one.interval95;
          return [
            {
              key: nameOf(at),
              label: nameOf(at),
              value: one.log_strength,
              interval: one.interval95,
              text: `${formatValue(one.log_strength, 3)} (${formatValue(low, 3)} – ${formatValue(high, 3)})`,
            },
          ];
        })}
      />
    </Section>
  );
}

/** Win rate of the row's model against the column's. */
function Pairs({ rating, figures }: { readonly rating: Rating; readonly figures: Figures }) {
  const { t } = useTranslation();
  const { models } = rating.record.session;
  const cell = (row: string, column: string): string => {
    for (const { verdict } of figures.pairs) {
      const [a, b] = verdict.models;
      if (a === column && b === row) return formatPercent(verdict.win_rate_b);
      if (a === row && b === column) return formatPercent(1 - verdict.win_rate_b);
    }
    return "–";
  };
  return (
    <Section title={t("verdicts.pairs")} help={t("verdicts.pairs_help")}>
      <Table.ScrollContainer
        minWidth={420}
        scrollAreaProps={{
          viewportProps: {
            tabIndex: 0,
            role: "region",
            "aria-label": t("verdicts.scrolled", { name: t("verdicts.pairs") }),
          },
        }}
      >
        <Table className="ng-numeric ng-matrix" aria-label={t("verdicts.pairs")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Td />
              {models.map((model) => (
                <Table.Th scope="col" key={model}>
                  {model}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {models.map((row) => (
              <Table.Tr key={row}>
                <Table.Th scope="row">{row}</Table.Th>
                {models.map((column) => (
                  <Table.Td key={column}>{row === column ? "" : cell(row, column)}</Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Section>
  );
}
