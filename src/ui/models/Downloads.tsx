/** Models on their way from a hub: how far each has come, to be paused, continued or given up. */
import { ActionIcon, Anchor, Group, Progress, Stack, Text, Tooltip } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { licenseName } from "../../shared/credit";
import type { DownloadState } from "../../shared/protocol/library";
import { useDownloads } from "../../stores/downloads";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatBytes } from "../common/format";
import { Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { HUGGING_FACE, type WantedModel } from "./DownloadModel";

export function Downloads({ onGoOn }: { readonly onGoOn: (wanted: WantedModel) => void }) {
  const { t } = useTranslation();
  const entries = useDownloads((state) => state.entries);
  const [giving, setGiving] = useState<DownloadState | null>(null);
  const remove = useDownloads((state) => state.remove);
  if (entries.length === 0) return null;
  const goOn = ({ origin }: DownloadState) =>
    onGoOn({
      repo: origin.repo,
      revision: origin.revision,
      endpoint: origin.endpoint === HUGGING_FACE ? "" : origin.endpoint,
    });
  return (
    <Section title={t("download.list")}>
      <ul className="ng-downloads" aria-label={t("download.list")}>
        {entries.map((download) => (
          <li key={download.id}>
            <Row download={download} onGoOn={() => goOn(download)} onGiveUp={() => setGiving(download)} />
          </li>
        ))}
      </ul>
      <ConfirmModal
        opened={giving !== null}
        onClose={() => setGiving(null)}
        title={t("download.remove_title")}
        text={t("download.remove_text", { name: giving?.origin.repo ?? "", stored: formatBytes(giving?.stored) })}
        confirm={t("download.remove_confirm")}
        action={async () => {
          if (giving !== null) await remove(giving.id);
        }}
      />
    </Section>
  );
}

interface RowProps {
  readonly download: DownloadState;
  readonly onGoOn: () => void;
  readonly onGiveUp: () => void;
}

function Row({ download, onGoOn, onGiveUp }: RowProps) {
  const { t } = useTranslation();
  const stop = useDownloads((state) => state.stop);
  const { busy, error: failed, run } = useAction();
  const { id, origin, stored, total, active, error } = download;
  const name = origin.repo;
  const percent = total === 0 ? 0 : Math.floor((100 * stored) / total);
  const shown = failed ?? error;
  return (
    <Stack gap={6}>
      <Group justify="space-between" wrap="nowrap">
        <div>
          <Text size="sm" fw={600}>
            {name}
          </Text>
          <Text size="xs" c="dimmed">
            {t(active ? "download.active" : "download.waiting", {
              stored: formatBytes(stored),
              total: formatBytes(total),
              percent,
            })}
          </Text>
        </div>
        <Group gap={4} wrap="nowrap">
          <Tooltip label={t(active ? "download.stop" : "download.go_on", { name })}>
            <ActionIcon
              variant="subtle"
              color="gray"
              loading={busy}
              aria-label={t(active ? "download.stop" : "download.go_on", { name })}
              onClick={() => (active ? void run(() => stop(id)) : onGoOn())}
            >
              {active ? <IconPlayerPause size={16} /> : <IconPlayerPlay size={16} />}
            </ActionIcon>
          </Tooltip>
          <Tooltip label={t("download.remove", { name })}>
            <ActionIcon variant="subtle" color="gray" aria-label={t("download.remove", { name })} onClick={onGiveUp}>
              <IconTrash size={16} />
            </ActionIcon>
          </Tooltip>
        </Group>
      </Group>
      <Progress value={percent} size="sm" animated={active} aria-label={t("download.progress", { name })} />
      {origin.license !== null && (
        <Text size="xs" c="dimmed">
          {t("download.license", { license: licenseName(origin.license) })}{" "}
          <Anchor href={`${origin.endpoint}/${name}`} target="_blank" rel="noreferrer" size="xs" underline="always">
            {t("download.card")}
          </Anchor>
        </Text>
      )}
      {shown !== null && <ErrorPanel error={shown} />}
    </Stack>
  );
}
