/** Something a stage has made: what it is, its texts where it has some, where it comes from. */
import { Anchor, Button, Loader, Stack, Text } from "@mantine/core";
import { IconDownload, IconMessages } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { useArtefacts } from "../../stores/artefacts";
import { useRuns } from "../../stores/runs";
import { download, safeFileName } from "../common/download";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatBytes } from "../common/format";
import { Facts, Page, Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { ArtefactPlace } from "../workers/ArtefactPlace";
import { Lineage } from "./Lineage";
import { TextsView } from "./TextsView";

/** A zip is made in memory: what is larger goes to the disk file by file. */
const ZIP_BYTES = 1 << 30;

export function ArtefactPage() {
  const { artefactId = "" } = useParams();
  const { t } = useTranslation();
  const format = useFormat();
  const loaded = useArtefacts((state) => state.loaded);
  const loadError = useArtefacts((state) => state.loadError);
  const record = useArtefacts((state) => state.artefacts.find((one) => one.id === artefactId));
  const run = useRuns((state) => state.runs.find((one) => one.run_id === record?.run_id));
  const { export: exportArtefact, files: filesOf } = useArtefacts.getState();
  const { busy, error, run: act } = useAction();
  if (!loaded)
    return (
      <Page title={t("app.loading")}>
        <Loader size="sm" aria-label={t("app.loading")} />
      </Page>
    );
  if (record === undefined)
    return (
      <Page title={t("artefact.not_found_title")}>
        {loadError !== null && <ErrorPanel error={loadError} />}
        <div>
          <Button component={Link} to="/pipelines">
            {t("pipeline.to_list")}
          </Button>
        </div>
      </Page>
    );
  const bytes = record.files.reduce((sum, file) => sum + file.bytes, 0);
  return (
    <Page
      title={record.name}
      lead={t(`artefact_kinds.${record.kind}`)}
      actions={
        <>
          {record.kind === "generations" && (
            <Button
              component={Link}
              to={`/ratings/new?artefact=${record.id}`}
              leftSection={<IconMessages size={16} aria-hidden />}
            >
              {t("ratings.from_here")}
            </Button>
          )}
          <Button
            variant="default"
            leftSection={<IconDownload size={16} aria-hidden />}
            loading={busy}
            onClick={() =>
              void act(async () => {
                if (bytes <= ZIP_BYTES) download(await exportArtefact(record.id), `${safeFileName(record.name)}.zip`);
                else for (const [path, file] of await filesOf(record.id)) download(file, safeFileName(path));
              })
            }
          >
            {t("artefact.download")}
          </Button>
        </>
      }
    >
      {error !== null && <ErrorPanel error={error} />}
      <ArtefactPlace id={record.id} />
      {record.kind === "generations" && <TextsView artefact={record.id} />}
      <Lineage artefact={record.id} />
      <Section title={t("artefact.facts")}>
        <Stack gap="sm">
          <Facts
            facts={[
              { label: t("artefact.id"), value: <code>{record.id}</code> },
              { label: t("artefact.created"), value: format.time(record.created) },
              { label: t("record.seed"), value: String(record.seed) },
              { label: t("artefact.size"), value: formatBytes(bytes) },
              {
                label: t("artefact.made_by"),
                value:
                  run === undefined ? (
                    <Text size="sm">{record.run_id}</Text>
                  ) : (
                    <Anchor component={Link} to={`/runs/${run.run_id}`} size="sm">
                      {run.config.name} · {run.stage}
                    </Anchor>
                  ),
              },
              {
                label: t("artefact.files"),
                value: record.files.map((file) => `${file.path} (${formatBytes(file.bytes)})`).join(", "),
              },
            ]}
          />
        </Stack>
      </Section>
    </Page>
  );
}
