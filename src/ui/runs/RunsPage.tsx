/** Every run of this browser, newest first. */
import { ActionIcon, Anchor, Button, Loader, Table, Text, Tooltip } from "@mantine/core";
import { IconChartLine, IconPlus, IconTrash } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { type RunRecord, stageOf } from "../../shared/protocol/run";
import { useRuns } from "../../stores/runs";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatBytes } from "../common/format";
import { Page, Section } from "../common/Page";
import { StateBadge } from "../common/StateBadge";
import { StorageMeter } from "../common/StorageMeter";
import { useFormat } from "../common/use-format";
import { keyFigure } from "../pipeline/key-figure";
import "./runs.css";

export function RunsPage() {
  const { t } = useTranslation();
  const loaded = useRuns((state) => state.loaded);
  const loadError = useRuns((state) => state.loadError);
  const runs = useRuns((state) => state.runs);
  const remove = useRuns((state) => state.delete);
  const load = useRuns((state) => state.load);
  const refreshStorage = useRuns((state) => state.refreshStorage);
  const [removing, setRemoving] = useState<RunRecord | null>(null);
  useEffect(() => {
    // What cannot be measured is shown as unknown.
    refreshStorage().catch(() => undefined);
  }, [refreshStorage]);
  return (
    <Page
      title={t("runs.title")}
      lead={t("runs.lead")}
      actions={
        <>
          {runs.length > 1 && (
            <Button
              component={Link}
              to="/compare"
              variant="default"
              leftSection={<IconChartLine size={16} aria-hidden />}
            >
              {t("runs.compare")}
            </Button>
          )}
          <Button component={Link} to="/pipelines" leftSection={<IconPlus size={16} aria-hidden />}>
            {t("runs.new")}
          </Button>
        </>
      }
    >
      {loadError !== null && (
        <ErrorPanel
          error={loadError}
          actions={
            <Button size="xs" variant="default" onClick={() => void load()}>
              {t("common.retry")}
            </Button>
          }
        />
      )}
      {!loaded ? (
        <Loader size="sm" aria-label={t("app.loading")} />
      ) : runs.length === 0 ? (
        <Section title={t("runs.empty_title")}>
          <Text c="dimmed">{t("runs.empty")}</Text>
        </Section>
      ) : (
        <RunTable runs={runs} onRemove={setRemoving} />
      )}
      <StorageMeter />
      <ConfirmModal
        opened={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("runs.delete_title")}
        text={t("runs.delete_text", { name: removing?.config.name ?? "" })}
        confirm={t("common.delete")}
        action={async () => {
          if (removing !== null) await remove(removing.run_id);
        }}
      />
    </Page>
  );
}

interface RunTableProps {
  readonly runs: readonly RunRecord[];
  readonly onRemove: (run: RunRecord) => void;
}

function RunTable({ runs, onRemove }: RunTableProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const storage = useRuns((state) => state.storage);
  const bytes = new Map(storage?.runs.map((entry) => [entry.run_id, entry.bytes]));
  const columns = ["name", "stage", "state", "figure", "seed", "adapter", "duration", "created", "size"] as const;
  return (
    <div className="ng-section ng-runs">
      <Table.ScrollContainer
        minWidth={940}
        scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": t("runs.table") } }}
      >
        <Table className="ng-numeric" highlightOnHover aria-label={t("runs.table")}>
          <Table.Thead>
            <Table.Tr>
              {columns.map((name) => (
                <Table.Th scope="col" key={name}>
                  {t(`runs.${name}`)}
                </Table.Th>
              ))}
              <Table.Th scope="col">{t("runs.actions")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {runs.map((run) => (
              <Table.Tr key={run.run_id}>
                <Table.Th scope="row" className="ng-runs-name">
                  <Anchor component={Link} to={`/runs/${run.run_id}`} fw={600} size="sm">
                    {run.config.name}
                  </Anchor>
                </Table.Th>
                <Table.Td>{t(`stages.${stageOf(run).stage}`)}</Table.Td>
                <Table.Td>
                  <StateBadge state={run.state} />
                  <Text size="xs" c="dimmed">
                    {t("run.step_of", {
                      step: format.count(run.step),
                      total: run.total_steps > 0 ? format.count(run.total_steps) : "–",
                    })}
                  </Text>
                </Table.Td>
                <Table.Td fw={600}>
                  {keyFigure(stageOf(run).stage, (key) => run.metrics[key] ?? null, t) || "–"}
                </Table.Td>
                <Table.Td>{run.config.seed}</Table.Td>
                <Table.Td className="ng-runs-adapter" title={run.adapter}>
                  {run.adapter || "–"}
                </Table.Td>
                <Table.Td>{format.duration(run.seconds)}</Table.Td>
                <Table.Td>{format.time(run.created)}</Table.Td>
                <Table.Td>{formatBytes(bytes.get(run.run_id))}</Table.Td>
                <Table.Td>
                  <Tooltip label={t("runs.delete_label", { name: run.config.name })}>
                    <ActionIcon
                      variant="subtle"
                      color="gray"
                      aria-label={t("runs.delete_label", { name: run.config.name })}
                      onClick={() => onRemove(run)}
                    >
                      <IconTrash size={16} />
                    </ActionIcon>
                  </Tooltip>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </div>
  );
}
