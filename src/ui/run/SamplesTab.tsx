/** The validation rows by reward, the worst mistakes first. */
import { Button, Group, SegmentedControl, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { useDeferredValue, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import type { ScoredSample } from "../../shared/protocol/events";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatPercent, formatValue, sigmoid } from "../common/format";
import { Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { LabelBadge } from "../data/DatasetView";
import { isWrong, SAMPLE_SORTS, type SampleFilter, selectSamples } from "./scored";
import { useRecord } from "./use-run";

const PAGE = 50;

export function SamplesTab({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const result = useRuns((state) => state.details[runId]?.result ?? null);
  const threshold = useRuns((state) => {
    const detail = state.details[runId];
    return detail?.result?.metrics.eval_threshold ?? detail?.eval.last("eval_threshold") ?? 0;
  });
  const saved = useRecord(runId, (record) => record.checkpoint_step) ?? null;
  const scoreSplit = useRuns((state) => state.scoreSplit);
  const [scored, setScored] = useState<readonly ScoredSample[] | null>(null);
  const { busy, error, run } = useAction();
  const samples = result?.samples ?? scored;
  return (
    <Section
      title={t("samples.title")}
      help={t("samples.help")}
      actions={
        result === null && (
          <Button
            variant="default"
            loading={busy}
            disabled={saved === null}
            onClick={() =>
              void run(async () => {
                setScored(await scoreSplit(runId, "validation"));
              })
            }
          >
            {t("samples.score_now")}
          </Button>
        )
      }
    >
      <Stack gap="md">
        {error !== null && <ErrorPanel error={error} />}
        {samples === null ? (
          <Text c="dimmed">{t("samples.waiting")}</Text>
        ) : (
          <SampleTable samples={samples} threshold={threshold} />
        )}
      </Stack>
    </Section>
  );
}

function SampleTable({
  samples,
  threshold,
}: {
  readonly samples: readonly ScoredSample[];
  readonly threshold: number;
}) {
  const { t } = useTranslation();
  const format = useFormat();
  const [filter, setFilter] = useState<Omit<SampleFilter, "threshold">>({
    wrongOnly: true,
    label: "all",
    search: "",
    sort: "worst",
  });
  const [limit, setLimit] = useState(PAGE);
  const change = (part: Partial<SampleFilter>) => {
    setFilter({ ...filter, ...part });
    setLimit(PAGE);
  };
  const deferred = useDeferredValue(filter);
  const selected = useMemo(() => selectSamples(samples, { ...deferred, threshold }), [samples, deferred, threshold]);
  const wrong = useMemo(() => samples.filter((sample) => isWrong(sample, threshold)).length, [samples, threshold]);
  const rest = selected.length - limit;
  return (
    <Stack gap="sm">
      <Group gap="md" align="flex-end">
        <SegmentedControl
          aria-label={t("samples.show")}
          value={filter.wrongOnly ? "wrong" : "all"}
          onChange={(value) => change({ wrongOnly: value === "wrong" })}
          data={[
            { value: "wrong", label: t("samples.show_wrong") },
            { value: "all", label: t("samples.show_all") },
          ]}
        />
        <SegmentedControl
          aria-label={t("samples.label_filter")}
          value={filter.label}
          onChange={(value) => change({ label: value === "positive" || value === "negative" ? value : "all" })}
          data={[
            { value: "all", label: t("samples.show_all") },
            { value: "positive", label: t("common.positive") },
            { value: "negative", label: t("common.negative") },
          ]}
        />
        <Select
          aria-label={t("samples.sort")}
          w={210}
          allowDeselect={false}
          value={filter.sort}
          onChange={(value) => change({ sort: SAMPLE_SORTS.find((sort) => sort === value) ?? "worst" })}
          data={SAMPLE_SORTS.map((value) => ({ value, label: t(`samples.sort_${value}`) }))}
        />
        <TextInput
          aria-label={t("samples.search")}
          placeholder={t("samples.search")}
          value={filter.search}
          onChange={(event) => change({ search: event.currentTarget.value })}
        />
      </Group>
      <Text size="sm" c="dimmed" role="status" className="ng-numeric">
        {t("samples.count", {
          shown: format.count(selected.length),
          total: format.count(samples.length),
          wrong: format.count(wrong),
        })}
      </Text>
      {selected.length === 0 ? (
        <Text>{t("samples.none")}</Text>
      ) : (
        <Table className="ng-numeric ng-samples" aria-label={t("samples.title")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("samples.reward")}</Table.Th>
              <Table.Th scope="col">{t("samples.probability")}</Table.Th>
              <Table.Th scope="col">{t("samples.label")}</Table.Th>
              <Table.Th scope="col">{t("samples.verdict")}</Table.Th>
              <Table.Th scope="col">{t("samples.sentence")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {selected.slice(0, limit).map((sample) => {
              const mistake = isWrong(sample, threshold);
              return (
                <Table.Tr key={sample.index}>
                  <Table.Td>{formatValue(sample.reward, 3)}</Table.Td>
                  <Table.Td>
                    {sample.reward === null ? "–" : formatPercent(sigmoid(sample.reward - threshold))}
                  </Table.Td>
                  <Table.Td>
                    <LabelBadge label={sample.label} />
                  </Table.Td>
                  <Table.Td style={{ color: mistake ? "var(--ng-bad)" : "var(--ng-good)" }}>
                    {t(mistake ? "samples.wrong" : "samples.right")}
                  </Table.Td>
                  <Table.Td className="ng-sentence">
                    <span lang="ja">{sample.sentence}</span>
                    {sample.truncated && (
                      <Text size="xs" c="dimmed">
                        {t("samples.truncated")}
                      </Text>
                    )}
                  </Table.Td>
                </Table.Tr>
              );
            })}
          </Table.Tbody>
        </Table>
      )}
      {rest > 0 && (
        <Button variant="default" onClick={() => setLimit(limit + PAGE)}>
          {t("samples.more", { count: Math.min(PAGE, rest) })}
        </Button>
      )}
    </Stack>
  );
}
