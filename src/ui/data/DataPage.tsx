/** Data sets: the bundled ones and those opened from disk; and pairs of texts. */
import { ActionIcon, Button, Group, SegmentedControl, Stack, Text, Tooltip, UnstyledButton } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { DatasetEntry } from "../../shared/protocol/library";
import { useDatasets } from "../../stores/datasets";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatBytes } from "../common/format";
import { Page, Section } from "../common/Page";
import { DatasetView } from "./DatasetView";
import { ImportDataset } from "./ImportDataset";
import { Pairs } from "./Pairs";
import { SPLITS, type Split } from "./references";
import "./data.css";

export function DataPage() {
  const { t } = useTranslation();
  return (
    <Page title={t("data.title")} lead={t("data.lead")}>
      <Datasets />
      <Pairs />
    </Page>
  );
}

function Datasets() {
  const { t } = useTranslation();
  const datasets = useDatasets((state) => state.entries);
  const loadError = useDatasets((state) => state.loadError);
  const remove = useDatasets((state) => state.delete);
  const [chosen, setChosen] = useState<string | null>(null);
  const [split, setSplit] = useState<Split>("train");
  const entry = datasets.find((candidate) => candidate.id === chosen) ?? datasets[0];
  const splits = entry === undefined ? [] : SPLITS.filter((name) => entry.data[name] !== null);
  const shownSplit = splits.includes(split) ? split : "train";
  const reference = entry?.data[shownSplit] ?? null;
  return (
    <Section title={t("data.datasets")} actions={<ImportDataset onImported={(imported) => setChosen(imported.id)} />}>
      {loadError !== null && <ErrorPanel error={loadError} />}
      <div className="ng-library">
        <EntryList
          entries={datasets}
          chosen={entry?.id ?? null}
          onChoose={setChosen}
          onRemove={remove}
          label={t("data.datasets")}
        />
        {entry !== undefined && reference !== null && (
          <Stack gap="md" className="ng-library-view">
            <Group justify="space-between" gap="sm">
              <SegmentedControl
                size="sm"
                aria-label={t("data.split")}
                value={shownSplit}
                onChange={(value) => setSplit(SPLITS.find((name) => name === value) ?? "train")}
                data={splits.map((name) => ({ value: name, label: t(`dataset.split_${name}`) }))}
              />
              <Button
                component={Link}
                to={`/reward/new?data=${encodeURIComponent(entry.id)}`}
                variant="light"
                size="sm"
              >
                {t("data.use")}
              </Button>
            </Group>
            {entry.split !== null && shownSplit !== "test" && (
              <Text size="sm" c="dimmed">
                {t("data.split_made", { share: Math.round(entry.split.share * 100), seed: entry.split.seed })}
              </Text>
            )}
            {entry.id === "reviews-ja" && (
              <Text size="sm" c="dimmed">
                {t("data.attribution_reviews")}
              </Text>
            )}
            <DatasetView reference={reference} />
          </Stack>
        )}
      </div>
    </Section>
  );
}

interface EntryListProps {
  readonly entries: readonly DatasetEntry[];
  readonly chosen: string | null;
  readonly onChoose: (id: string) => void;
  readonly onRemove: (id: string) => Promise<void>;
  readonly label: string;
}

function EntryList({ entries, chosen, onChoose, onRemove, label }: EntryListProps) {
  const { t } = useTranslation();
  const [removing, setRemoving] = useState<{ id: string; name: string } | null>(null);
  return (
    <>
      <ul className="ng-library-list" aria-label={label}>
        {entries.map((entry) => (
          <li key={`${entry.source}:${entry.id}`} data-chosen={entry.id === chosen || undefined}>
            <UnstyledButton
              className="ng-library-entry"
              aria-pressed={entry.id === chosen}
              onClick={() => onChoose(entry.id)}
            >
              <Text size="sm" fw={600} component="span" className="ng-sentence">
                {entry.name}
              </Text>
              <Text size="xs" c="dimmed" component="span">
                {t(`data.${entry.source}`)}
                {entry.bytes > 0 && ` · ${formatBytes(entry.bytes)}`}
              </Text>
            </UnstyledButton>
            {entry.source === "imported" && (
              <Tooltip label={t("data.remove", { name: entry.name })}>
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  aria-label={t("data.remove", { name: entry.name })}
                  onClick={() => setRemoving({ id: entry.id, name: entry.name })}
                >
                  <IconTrash size={16} />
                </ActionIcon>
              </Tooltip>
            )}
          </li>
        ))}
      </ul>
      <ConfirmModal
        opened={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("data.remove_title")}
        text={t("data.remove_text", { name: removing?.name ?? "" })}
        confirm={t("common.delete")}
        action={async () => {
          if (removing !== null) await onRemove(removing.id);
        }}
      />
    </>
  );
}
