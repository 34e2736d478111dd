/** Everything needed to repeat or check the run: config, seed, adapter, numbers of rows, and the files to take along. */
import { Button, Group, SimpleGrid, Stack, Text } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { workerOf } from "../../shared/protocol/launch";
import { useDatasets } from "../../stores/datasets";
import { useModels } from "../../stores/models";
import { useRuns } from "../../stores/runs";
import { useWorkers, workerName } from "../../stores/workers";
import { download, safeFileName } from "../common/download";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatBytes, formatParameters } from "../common/format";
import { type Fact, Facts, Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { datasetLabel, modelLabel } from "../data/references";
import { License } from "../models/License";
import { ProcessLog } from "../workers/ProcessLog";

export function RecordTab({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const record = useRuns((state) => state.runs.find((run) => run.run_id === runId));
  const prepared = useRuns((state) => state.details[runId]?.prepared ?? null);
  const resumedAt = useRuns((state) => state.details[runId]?.resumedAt);
  const datasets = useDatasets((state) => state.entries);
  const models = useModels((state) => state.entries);
  const workers = useWorkers((state) => state.workers);
  if (record === undefined) return null;
  const { config } = record;
  const worker = workerOf(record.place);
  const place = worker === null ? t("workers.here") : t("workers.run_there", { name: workerName(workers, worker) });
  const splitName = (split: "train" | "validation" | "test") => t(`dataset.split_${split}`);
  const data = [config.data.train, config.data.validation, config.data.test]
    .map((reference) => datasetLabel(reference, datasets, splitName) ?? t("common.none"))
    .join(" · ");
  const facts: Fact[] = [
    { label: t("workers.place"), value: place },
    { label: t("record.adapter"), value: record.adapter || t("common.unknown") },
    { label: t("record.seed"), value: String(config.seed) },
    { label: t("record.duration"), value: format.duration(record.seconds) },
    { label: t("record.created"), value: format.time(record.created) },
    {
      label: t("record.model"),
      value: `${modelLabel(config.model.model_name_or_path, models)} · ${t(`reward.init_${config.model.init}`)}`,
    },
    { label: t("record.data"), value: data },
  ];
  const credit = models.find(({ reference }) => reference === config.model.model_name_or_path)?.credit;
  if (credit !== undefined) facts.push({ label: t("record.license"), value: <License credit={credit} /> });
  if (prepared !== null)
    facts.push(
      {
        label: t("record.parameters"),
        value: `${formatParameters(prepared.parameters)} (${formatParameters(prepared.trainable_parameters)})`,
      },
      {
        label: t("record.rows"),
        value: [prepared.train_rows, prepared.validation_rows, prepared.test_rows].map(format.count).join(" / "),
      },
      { label: t("record.truncated"), value: t("common.rows_count", { count: prepared.truncated_rows }) },
      { label: t("record.gpu_memory"), value: formatBytes(prepared.gpu_bytes) },
    );
  if (resumedAt !== undefined && resumedAt.length > 0)
    facts.push({ label: t("record.resumed"), value: resumedAt.map(format.count).join(", ") });
  facts.push(
    { label: t("record.version"), value: record.version },
    { label: t("record.run_id"), value: <code>{runId}</code> },
  );
  // The reward screen knows a run of one reward stage; every other configuration is a pipeline.
  const lone = config.stages.length === 1 && config.stages[0]?.stage === "reward";
  const configText = `${JSON.stringify(config, null, 2)}\n`;
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
      <Stack gap="md">
        <Section title={t("record.title")}>
          <Facts facts={facts} />
        </Section>
        <ProcessLog run={record} />
        <Downloads
          runId={runId}
          name={config.name}
          canExport={record.checkpoint_step !== null}
          configText={configText}
        />
      </Stack>
      <Section
        title={t("record.config")}
        actions={
          <Button
            component={Link}
            to={`/${lone ? "reward" : "pipelines"}/new?from=${encodeURIComponent(runId)}`}
            variant="light"
            size="compact-md"
          >
            {t("record.again")}
          </Button>
        }
      >
        <pre className="ng-code">{configText}</pre>
      </Section>
    </SimpleGrid>
  );
}

interface DownloadsProps {
  readonly runId: string;
  readonly name: string;
  readonly canExport: boolean;
  readonly configText: string;
}

function Downloads({ runId, name, canExport, configText }: DownloadsProps) {
  const { t } = useTranslation();
  const { exportModel, exportEvents } = useRuns.getState();
  const model = useAction();
  const events = useAction();
  const file = safeFileName(name);
  const error = model.error ?? events.error;
  return (
    <Section title={t("record.downloads")}>
      <Stack gap="sm">
        <Group gap="xs">
          <Button
            leftSection={<IconDownload size={16} aria-hidden />}
            loading={model.busy}
            disabled={!canExport}
            onClick={() => void model.run(async () => download(await exportModel(runId), `${file}.zip`))}
          >
            {t("record.download_model")}
          </Button>
          <Button
            variant="default"
            leftSection={<IconDownload size={16} aria-hidden />}
            loading={events.busy}
            onClick={() =>
              void events.run(async () => download(await exportEvents(runId), `${file}.jsonl`, "application/x-ndjson"))
            }
          >
            {t("record.download_metrics")}
          </Button>
          <Button
            variant="default"
            leftSection={<IconDownload size={16} aria-hidden />}
            onClick={() => download(configText, `${file}.json`, "application/json")}
          >
            {t("record.download_config")}
          </Button>
        </Group>
        {error !== null && <ErrorPanel error={error} />}
        <Text size="xs" c="dimmed">
          {t("record.download_model_help")} {t("record.download_metrics_help")}
        </Text>
      </Stack>
    </Section>
  );
}
