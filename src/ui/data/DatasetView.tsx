/** What is in one split of a data set: rows, balance, lengths, samples, problems. */
import { Button, Collapse, Group, List, Loader, SimpleGrid, Stack, Table, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useEffect, useId } from "react";
import { useTranslation } from "react-i18next";
import type { DatasetSummary } from "../../shared/protocol/backend";
import { useDatasets } from "../../stores/datasets";
import { type Bin, Histogram } from "../charts/StillCharts";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatPercent } from "../common/format";
import { Facts } from "../common/Page";
import { useFormat } from "../common/use-format";

const SHOWN_PROBLEMS = 10;
const SHOWN_SAMPLES = 10;
/** More bins than this are joined, so that bars stay wide enough to see. */
const MAX_BINS = 40;

/** @param maxLength tokens a text; with it the view says what will be cut */
export function DatasetView({ reference, maxLength }: { readonly reference: string; readonly maxLength?: number }) {
  const { t } = useTranslation();
  const fetched = useDatasets((state) => state.summaries[reference]);
  const summarise = useDatasets((state) => state.summarise);
  useEffect(() => {
    void summarise(reference);
  }, [reference, summarise]);
  if (fetched === undefined || fetched.status === "loading")
    return (
      <Group gap="xs" py="md" aria-live="polite">
        <Loader size="xs" />
        <Text size="sm">{t("dataset.inspecting")}</Text>
      </Group>
    );
  if (fetched.status === "failed")
    return (
      <ErrorPanel
        error={fetched.error}
        actions={
          <Button size="xs" variant="default" onClick={() => void summarise(reference)}>
            {t("common.retry")}
          </Button>
        }
      />
    );
  return <Summary summary={fetched.value} {...(maxLength === undefined ? {} : { maxLength })} />;
}

function Summary({ summary, maxLength }: { readonly summary: DatasetSummary; readonly maxLength?: number }) {
  const { t } = useTranslation();
  const format = useFormat();
  const [open, { toggle }] = useDisclosure(true);
  const samplesId = useId();
  const bins = joinBins(summary.histogram);
  const share = summary.rows === 0 ? 0 : summary.positive / summary.rows;
  const mean = summary.mean_characters.toFixed(0);
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="xl">
        <Stack gap="md">
          <Facts
            facts={[
              { label: t("dataset.rows"), value: format.count(summary.rows) },
              {
                label: t("dataset.length"),
                value: t("dataset.length_text", { mean, max: format.count(summary.max_characters) }),
              },
              {
                label: t("dataset.duplicates"),
                value:
                  summary.duplicates === 0
                    ? t("common.none")
                    : t("dataset.duplicates_text", { rows: format.count(summary.duplicates) }),
              },
            ]}
          />
          <div>
            <Text size="sm" c="dimmed" mb={6}>
              {t("dataset.balance")}
            </Text>
            <div className="ng-balance" aria-hidden>
              <span style={{ width: `${share * 100}%`, background: "var(--ng-positive)" }} />
              <span style={{ flex: 1, background: "var(--ng-negative)" }} />
            </div>
            <Text size="sm" mt={6} className="ng-numeric">
              {t("dataset.balance_text", {
                positive: format.count(summary.positive),
                positiveShare: formatPercent(share),
                negative: format.count(summary.negative),
                negativeShare: formatPercent(summary.rows === 0 ? 0 : 1 - share),
              })}
            </Text>
          </div>
        </Stack>
        <Histogram
          bins={bins}
          colors={["--ng-line"]}
          label={t("dataset.length_chart", { mean, max: format.count(summary.max_characters) })}
          axis={t("dataset.length_axis")}
          format={(value) => format.count(value)}
          formatCount={(value) => format.count(value)}
          hint={(bin) =>
            `${t("dataset.length_range", { low: bin.low, high: bin.high - 1 })}: ${t("common.rows_count", { count: bin.counts[0] ?? 0 })}`
          }
        />
      </SimpleGrid>
      {maxLength !== undefined && (
        <Text size="sm" c="dimmed">
          {summary.max_characters > maxLength
            ? t("dataset.long_hint", { max: format.count(summary.max_characters), length: format.count(maxLength) })
            : t("dataset.truncation", { length: format.count(maxLength) })}
        </Text>
      )}
      {summary.notes.map((note) => (
        <div key={note} className="ng-notice">
          {t(`dataset.note.${note}`)}
        </div>
      ))}
      <Problems summary={summary} />
      <div>
        <Button
          variant="subtle"
          size="compact-sm"
          onClick={toggle}
          aria-expanded={open}
          aria-controls={samplesId}
          ml={-8}
        >
          {t(open ? "dataset.hide_samples" : "dataset.show_samples")}
        </Button>
        <Collapse expanded={open} id={samplesId}>
          <Table mt={4} aria-label={t("dataset.samples", { count: Math.min(SHOWN_SAMPLES, summary.samples.length) })}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">{t("dataset.sentence")}</Table.Th>
                <Table.Th scope="col" w={90}>
                  {t("dataset.label")}
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {summary.samples.slice(0, SHOWN_SAMPLES).map((sample) => (
                <Table.Tr key={sample.sentence}>
                  <Table.Td className="ng-sentence" lang="ja">
                    {sample.sentence}
                  </Table.Td>
                  <Table.Td>
                    <LabelBadge label={sample.label} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Collapse>
      </div>
    </Stack>
  );
}

function Problems({ summary }: { readonly summary: DatasetSummary }) {
  const { t } = useTranslation();
  const format = useFormat();
  if (summary.problem_count === 0)
    return (
      <Text size="sm" c="dimmed">
        {t("dataset.problems_none")}
      </Text>
    );
  const shown = summary.problems.slice(0, SHOWN_PROBLEMS);
  return (
    <div className="ng-notice" data-tone="warn">
      <Text size="sm" fw={600}>
        {t("dataset.problems_some", { rows: format.count(summary.problem_count) })}
      </Text>
      <List size="sm">
        {shown.map((problem) => (
          <List.Item key={problem.line}>
            {t("dataset.problem_line", { ...problem, reason: t(`dataset.reason.${problem.reason}`) })}
          </List.Item>
        ))}
      </List>
      {summary.problem_count > shown.length && (
        <Text size="sm">
          {t("dataset.problems_more", { rows: format.count(summary.problem_count - shown.length) })}
        </Text>
      )}
    </div>
  );
}

export function LabelBadge({ label }: { readonly label: "positive" | "negative" }) {
  const { t } = useTranslation();
  return (
    <span className="ng-label" style={{ color: `var(--ng-${label})` }}>
      {t(`common.${label}`)}
    </span>
  );
}

/** The worker's fine bins as bars that can be seen, up to the last bin with a text in it. */
export function joinBins(histogram: DatasetSummary["histogram"]): Bin[] {
  let length = histogram.counts.length;
  while (length > 1 && histogram.counts[length - 1] === 0) length--;
  const joined = Math.max(1, Math.ceil(length / MAX_BINS));
  const bins: Bin[] = [];
  for (let start = 0; start < length; start += joined) {
    const count = histogram.counts
      .slice(start, Math.min(length, start + joined))
      .reduce((sum, value) => sum + value, 0);
    bins.push({ low: start * histogram.bin_width, high: (start + joined) * histogram.bin_width, counts: [count] });
  }
  return bins;
}
