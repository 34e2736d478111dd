/** Brings a model from a hub: a dialog that asks which, and the downloads that are under way or wait. */
import {
  ActionIcon,
  Anchor,
  Button,
  Group,
  Modal,
  PasswordInput,
  Progress,
  Stack,
  Text,
  TextInput,
  Tooltip,
} from "@mantine/core";
import { IconCloudDownload, IconPlayerPause, IconPlayerPlay, IconTrash } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { DownloadState } from "../../shared/protocol/library";
import { useDownloads } from "../../stores/downloads";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatBytes } from "../common/format";
import { useAction } from "../common/use-action";

interface Wanted {
  readonly repo: string;
  readonly revision: string;
  /** Empty: huggingface.co. */
  readonly endpoint: string;
}

const NOTHING: Wanted = { repo: "", revision: "main", endpoint: "" };
const EXAMPLE = "cyberagent/open-calm-small";
const HUGGING_FACE = "https://huggingface.co";

export function DownloadModel() {
  const { t } = useTranslation();
  const load = useDownloads((state) => state.load);
  const [wanted, setWanted] = useState<Wanted | null>(null);
  useEffect(() => {
    void load().catch(() => undefined);
  }, [load]);
  const goOn = ({ origin }: DownloadState) =>
    setWanted({
      repo: origin.repo,
      revision: origin.revision,
      endpoint: origin.endpoint === HUGGING_FACE ? "" : origin.endpoint,
    });
  return (
    <Stack gap="sm" align="stretch">
      <div>
        <Button
          variant="default"
          leftSection={<IconCloudDownload size={16} aria-hidden />}
          onClick={() => setWanted(NOTHING)}
        >
          {t("download.open")}
        </Button>
      </div>
      <Downloads onGoOn={goOn} />
      {wanted !== null && <Ask wanted={wanted} onClose={() => setWanted(null)} />}
    </Stack>
  );
}

function Ask({ wanted, onClose }: { readonly wanted: Wanted; readonly onClose: () => void }) {
  const { t } = useTranslation();
  const start = useDownloads((state) => state.start);
  const { busy, error, run } = useAction();
  const [asked, setAsked] = useState(wanted);
  const [token, setToken] = useState("");
  const set = (change: Partial<Wanted>) => setAsked({ ...asked, ...change });
  const submit = () =>
    run(async () => {
      await start({
        repo: asked.repo.trim(),
        revision: asked.revision.trim() || "main",
        endpoint: asked.endpoint.trim() || null,
        token: token.trim() || null,
      });
      onClose();
    });
  return (
    <Modal
      opened
      onClose={onClose}
      title={t("download.title")}
      closeButtonProps={{ "aria-label": t("common.close") }}
      size="lg"
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          event.stopPropagation();
          void submit();
        }}
      >
        <Stack gap="md">
          <Text size="sm" c="dimmed">
            {t("download.help")}
          </Text>
          <TextInput
            label={t("download.repo")}
            placeholder={EXAMPLE}
            value={asked.repo}
            onChange={(event) => set({ repo: event.currentTarget.value })}
            required
            data-autofocus
          />
          <TextInput
            label={t("download.revision")}
            description={t("download.revision_help")}
            value={asked.revision}
            onChange={(event) => set({ revision: event.currentTarget.value })}
          />
          <PasswordInput
            label={t("download.token")}
            description={t("download.token_help")}
            value={token}
            onChange={(event) => setToken(event.currentTarget.value)}
            autoComplete="off"
            visibilityToggleButtonProps={{ "aria-label": t("download.show_token") }}
          />
          <TextInput
            label={t("download.endpoint")}
            description={t("download.endpoint_help")}
            placeholder={HUGGING_FACE}
            type="url"
            value={asked.endpoint}
            onChange={(event) => set({ endpoint: event.currentTarget.value })}
          />
          {error !== null && <ErrorPanel error={error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={busy}>
              {t("download.start")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function Downloads({ onGoOn }: { readonly onGoOn: (download: DownloadState) => void }) {
  const { t } = useTranslation();
  const entries = useDownloads((state) => state.entries);
  if (entries.length === 0) return null;
  return (
    <ul className="ng-downloads" aria-label={t("download.list")}>
      {entries.map((download) => (
        <li key={download.id}>
          <Row download={download} onGoOn={() => onGoOn(download)} />
        </li>
      ))}
    </ul>
  );
}

function Row({ download, onGoOn }: { readonly download: DownloadState; readonly onGoOn: () => void }) {
  const { t } = useTranslation();
  const stop = useDownloads((state) => state.stop);
  const remove = useDownloads((state) => state.remove);
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
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t("download.remove", { name })}
              onClick={() => void run(() => remove(id))}
            >
              <IconTrash size={16} />
            </ActionIcon>
          </Tooltip>
        </Group>
      </Group>
      <Progress value={percent} size="sm" animated={active} aria-label={t("download.progress", { name })} />
      {origin.license !== null && (
        <Text size="xs" c="dimmed">
          {t("download.license", { license: origin.license })}{" "}
          <Anchor href={`${origin.endpoint}/${name}`} target="_blank" rel="noreferrer" size="xs" underline="always">
            {t("download.card")}
          </Anchor>
        </Text>
      )}
      {shown !== null && <ErrorPanel error={shown} />}
    </Stack>
  );
}
