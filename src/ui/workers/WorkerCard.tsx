/** One worker: whether it answers, what it has, what it is doing. */
import { Button, Group, Progress, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconTrash } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { WorkerInfo, WorkerStatus } from "../../shared/protocol/remote";
import type { RemoteWorkerRecord, WorkerState } from "../../shared/protocol/workers";
import { useRuns } from "../../stores/runs";
import { useWorkers } from "../../stores/workers";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatBytes, formatPercent } from "../common/format";
import { type Fact, Facts, Section } from "../common/Page";
import { Transfers } from "./Transfers";

const COLORS: Readonly<Record<WorkerState, string>> = {
  idle: "--ng-text-quiet",
  connecting: "--ng-line",
  connected: "--ng-good",
  waiting: "--ng-warn",
  refused: "--ng-bad",
};

export function WorkerStateBadge({ state }: { readonly state: WorkerState }) {
  const { t } = useTranslation();
  return (
    <span className="ng-state" style={{ color: `var(${COLORS[state]})` }}>
      <span className="ng-dot" data-live={state === "connecting" || state === "waiting" || undefined} />
      {t(`workers.state.${state}`)}
    </span>
  );
}

export function WorkerCard({ worker }: { readonly worker: RemoteWorkerRecord }) {
  const { t } = useTranslation();
  const remove = useWorkers((state) => state.remove);
  const [asking, { open, close }] = useDisclosure();
  const { name, url, state, error, info } = worker;
  return (
    <Section
      title={name}
      actions={
        <Button
          variant="subtle"
          color="gray"
          size="compact-sm"
          leftSection={<IconTrash size={15} aria-hidden />}
          aria-label={t("workers.remove_label", { name })}
          onClick={open}
        >
          {t("workers.remove")}
        </Button>
      }
    >
      <Stack gap="md">
        <Group gap="md">
          <WorkerStateBadge state={state} />
          <code className="ng-worker-url">{url}</code>
        </Group>
        {error !== null && <ErrorPanel error={error} />}
        <Devices worker={worker} />
        <Transfers transfers={worker.transfers} />
        {worker.status !== null && <Work worker={worker} />}
        {info !== null && <Versions info={info} status={worker.status} />}
      </Stack>
      <ConfirmModal
        opened={asking}
        onClose={close}
        title={t("workers.remove_title")}
        text={t("workers.remove_text", { name })}
        confirm={t("workers.remove")}
        action={() => remove(worker.id)}
      />
    </Section>
  );
}

function Devices({ worker: { info, status } }: { readonly worker: RemoteWorkerRecord }) {
  const { t } = useTranslation();
  const idle = (info?.devices ?? []).map((one) => ({ ...one, memory_used_bytes: null, utilization: null }));
  const shown = (status?.devices ?? []).length > 0 ? (status?.devices ?? []) : idle;
  // Several of the same name stand one below the other, in the worker's order.
  const devices = shown.map((device, place) => ({ ...device, key: `${place} ${device.name}` }));
  if (devices.length === 0) return null;
  return (
    <ul className="ng-worker-devices" aria-label={t("workers.devices")}>
      {devices.map(({ name, memory_bytes, memory_used_bytes, utilization, key }) => {
        const share = memory_bytes === null || memory_used_bytes === null ? null : memory_used_bytes / memory_bytes;
        const memory =
          memory_bytes === null
            ? ""
            : memory_used_bytes === null
              ? formatBytes(memory_bytes)
              : t("workers.device_memory", { used: formatBytes(memory_used_bytes), total: formatBytes(memory_bytes) });
        const load = utilization === null ? "" : t("workers.device_load", { load: formatPercent(utilization, 0) });
        return (
          <li key={key}>
            <div className="ng-worker-device">
              <b>{name}</b>
              <span className="ng-numeric">{[memory, load].filter((text) => text !== "").join(" · ")}</span>
            </div>
            {share !== null && (
              <Progress.Root size="sm">
                <Progress.Section value={share * 100} aria-label={name} aria-valuetext={memory} />
              </Progress.Root>
            )}
          </li>
        );
      })}
    </ul>
  );
}

function Work({ worker: { status } }: { readonly worker: RemoteWorkerRecord }) {
  const { t } = useTranslation();
  const runs = useRuns((state) => state.runs);
  if (status === null) return null;
  const nameOf = (runId: string) => {
    const run = runs.find(({ run_id }) => run_id === runId);
    return run === undefined ? null : `${run.config.name} / ${run.stage}`;
  };
  const line = (runId: string, text: (name: string) => string) => {
    const name = nameOf(runId);
    return (
      <li key={runId}>
        {name === null ? text(t("workers.foreign")) : <Link to={`/runs/${runId}`}>{text(name)}</Link>}
      </li>
    );
  };
  const nothing = status.running.length === 0 && status.queue.length === 0;
  return (
    <div>
      <Text size="sm" c="dimmed" mb={2}>
        {t("workers.queue")}
      </Text>
      {nothing ? (
        <Text size="sm">{t("workers.queue_empty")}</Text>
      ) : (
        <ul className="ng-worker-queue">
          {status.running.map(({ run_id }) => line(run_id, (name) => t("workers.running", { name })))}
          {status.queue.map((run_id, index) => line(run_id, (name) => t("workers.queued", { place: index + 1, name })))}
        </ul>
      )}
    </div>
  );
}

function Versions({ info, status }: { readonly info: WorkerInfo; readonly status: WorkerStatus | null }) {
  const { t } = useTranslation();
  const list = (values: readonly string[]) => (values.length === 0 ? t("common.none") : values.join(", "));
  const memory = status?.memory;
  const facts: Fact[] = [
    { label: t("workers.disk"), value: formatBytes(status?.disk.free_bytes ?? info.data_free_bytes) },
    { label: t("workers.precision"), value: list([...info.precision, ...info.quantization]) },
    { label: t("workers.launchers"), value: list(info.launchers) },
    { label: t("workers.trackers"), value: list(info.trackers) },
    {
      label: t("workers.versions"),
      value: [
        `nagi-worker ${info.version}`,
        `Python ${info.python}`,
        `PyTorch ${info.torch}`,
        `transformers ${info.transformers}`,
        `peft ${info.peft}`,
        `trl ${info.trl}`,
      ].join(" · "),
    },
  ];
  if (memory !== undefined)
    facts.unshift({
      label: t("workers.memory"),
      value: t("workers.device_memory", {
        used: formatBytes(memory.used_bytes),
        total: formatBytes(memory.total_bytes),
      }),
    });
  return <Facts facts={facts} />;
}
