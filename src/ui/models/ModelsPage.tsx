/** All models of this browser: bundled, opened from disk, downloaded, and those on their way. */
import { Button } from "@mantine/core";
import { IconCloudDownload } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { ModelEntry } from "../../shared/protocol/library";
import { useArtefacts } from "../../stores/artefacts";
import { useDownloads } from "../../stores/downloads";
import { useModels } from "../../stores/models";
import { usePipelines } from "../../stores/pipelines";
import { useRuns } from "../../stores/runs";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page, Section } from "../common/Page";
import { StorageBar } from "../common/StorageMeter";
import { DownloadModel, NO_MODEL, type WantedModel } from "./DownloadModel";
import { Downloads } from "./Downloads";
import { ImportModel } from "./ImportModel";
import { ModelCard } from "./ModelCard";
import { usersOfModel } from "./model-users";
import "./models.css";

export function ModelsPage() {
  const { t } = useTranslation();
  const entries = useModels((state) => state.entries);
  const loadError = useModels((state) => state.loadError);
  const load = useDownloads((state) => state.load);
  const refreshStorage = useRuns((state) => state.refreshStorage);
  const [wanted, setWanted] = useState<WantedModel | null>(null);
  const [removing, setRemoving] = useState<ModelEntry | null>(null);
  useEffect(() => {
    // Downloads without an answer are asked for again with the next change.
    load().catch(() => undefined);
  }, [load]);
  useEffect(() => {
    // What cannot be measured is shown as unknown.
    refreshStorage().catch(() => undefined);
  }, [refreshStorage]);
  return (
    <Page
      title={t("models.title")}
      lead={t("models.lead")}
      actions={
        <>
          <ImportModel />
          <Button leftSection={<IconCloudDownload size={16} aria-hidden />} onClick={() => setWanted(NO_MODEL)}>
            {t("download.open")}
          </Button>
        </>
      }
    >
      {loadError !== null && <ErrorPanel error={loadError} />}
      <Downloads onGoOn={setWanted} />
      <Section title={t("models.list")} help={t("models.list_help")}>
        <ul className="ng-models" aria-label={t("models.list")}>
          {entries.map((entry) => (
            <li key={entry.reference}>
              <ModelCard entry={entry} onRemove={entry.source === "bundled" ? null : () => setRemoving(entry)} />
            </li>
          ))}
        </ul>
      </Section>
      <Section title={t("runs.storage")} help={t("settings.storage_help")}>
        <StorageBar />
      </Section>
      {wanted !== null && <DownloadModel wanted={wanted} onClose={() => setWanted(null)} />}
      <Remove entry={removing} onClose={() => setRemoving(null)} />
    </Page>
  );
}

function Remove({ entry, onClose }: { readonly entry: ModelEntry | null; readonly onClose: () => void }) {
  const { t } = useTranslation();
  const remove = useModels((state) => state.delete);
  const refreshStorage = useRuns((state) => state.refreshStorage);
  const runs = useRuns((state) => state.runs);
  const pipelines = usePipelines((state) => state.pipelines);
  const artefacts = useArtefacts((state) => state.artefacts);
  const users = entry === null ? [] : usersOfModel(entry.reference, { runs, pipelines, artefacts });
  const text = t(entry?.origin == null ? "models.remove_text" : "models.remove_text_hub", { name: entry?.name ?? "" });
  const used =
    users.length === 0
      ? t("models.unused")
      : t("models.used_by", { users: users.slice(0, 5).join(t("models.separator")), count: users.length });
  return (
    <ConfirmModal
      opened={entry !== null}
      onClose={onClose}
      title={t("data.remove_title")}
      text={`${text} ${used}`}
      confirm={t("common.delete")}
      action={async () => {
        if (entry === null) return;
        await remove(entry.id);
        await refreshStorage().catch(() => undefined);
      }}
    />
  );
}
