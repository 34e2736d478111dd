/** The final figures of a stage that is no reward model, and what it did by itself. */
import { Stack, Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { RunNote } from "../../shared/protocol/events";
import { useRuns } from "../../stores/runs";
import { isMetric, METRICS, styleOf } from "../charts/metrics";
import { formatValue } from "../common/format";
import { Section } from "../common/Page";
import { isNoteCode } from "./notes";

const NO_NOTES: readonly RunNote[] = [];

export function StageResult({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const result = useRuns((state) => state.details[runId]?.result ?? null);
  if (result === null)
    return (
      <Section title={t("result.waiting_title")}>
        <Text c="dimmed">{t("stage_result.waiting")}</Text>
      </Section>
    );
  const figures = Object.entries(result.metrics);
  return (
    <Stack gap="md">
      <Notes notes={result.notes} />
      <Section title={t("result.figures")}>
        <Table className="ng-numeric ng-figures" aria-label={t("result.figures")}>
          <Table.Tbody>
            {figures.map(([name, value]) => (
              <Table.Tr key={name}>
                <Table.Th scope="row" fw={400}>
                  {isMetric(name) ? t(`metrics.${METRICS[name].slug}.label`) : <code>{name}</code>}
                </Table.Th>
                <Table.Td fw={600}>{value === null ? "–" : styleOf(name).format(value)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Section>
    </Stack>
  );
}

/** What a stage did that its figures do not explain: the automatic baseline, for one. */
export function Notes({ notes = NO_NOTES }: { readonly notes: readonly RunNote[] | undefined }) {
  const { t } = useTranslation();
  return notes.map(({ code, values }) => {
    const written = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        name,
        typeof value === "number" ? formatValue(value, 4) : (value ?? "–"),
      ]),
    );
    return (
      <div className="ng-notice" key={`${code} ${JSON.stringify(values)}`}>
        {isNoteCode(code)
          ? t(`notes.${code}`, { replace: written })
          : `${code}: ${Object.entries(written)
              .map(([name, value]) => `${name} = ${value}`)
              .join(", ")}`}
      </div>
    );
  });
}
