/** One model: what it is, whose it is, where it came from, and what can be done with it. */
import { ActionIcon, Badge, Button, Group, Stack, Title, Tooltip } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { ModelEntry } from "../../shared/protocol/library";
import { useModels } from "../../stores/models";
import { formatBytes, formatParameters } from "../common/format";
import { type Fact, Facts } from "../common/Page";
import { useFormat } from "../common/use-format";
import { License } from "./License";
import { ModelView } from "./ModelView";

export interface ModelCardProps {
  readonly entry: ModelEntry;
  /** null: it cannot be deleted (bundled). */
  readonly onRemove: (() => void) | null;
}

export function ModelCard({ entry, onRemove }: ModelCardProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const summary = useModels((state) => state.summaries[entry.reference]);
  const summarise = useModels((state) => state.summarise);
  useEffect(() => {
    void summarise(entry.reference);
  }, [entry.reference, summarise]);
  const { name, origin, credit, bytes, created } = entry;
  const parameters = summary?.status === "ready" ? formatParameters(summary.value.parameters) : t("models.counting");
  const facts: Fact[] = [
    {
      label: t("model.parameters"),
      value: summary?.status === "failed" ? t("common.unknown") : parameters,
    },
    { label: t("model.bytes"), value: formatBytes(bytes) },
    { label: t("models.license"), value: <License credit={credit} /> },
    {
      label: t("models.source"),
      value: origin === null ? t(`models.from_${entry.source}`) : new URL(origin.endpoint).host,
    },
  ];
  if (origin !== null)
    facts.push({
      label: t("models.revision"),
      value: (
        <>
          {origin.revision} <code>{origin.commit.slice(0, 8)}</code>
        </>
      ),
    });
  if (created > 0) facts.push({ label: t("models.added"), value: format.time(created) });
  return (
    <Stack gap="sm">
      <Group justify="space-between" gap="sm" align="flex-start">
        <Group gap="xs">
          <Title order={3} className="ng-model-name">
            {name}
          </Title>
          <Badge variant="default" radius="sm" tt="none">
            {t(`models.kind_${origin === null ? entry.source : "hub"}`)}
          </Badge>
        </Group>
        <Group gap={4} wrap="nowrap">
          <Button
            component={Link}
            to={`/reward/new?model=${encodeURIComponent(entry.id)}`}
            variant="light"
            size="compact-sm"
            aria-label={t("models.use_label", { name })}
          >
            {t("models.use")}
          </Button>
          {onRemove !== null && (
            <Tooltip label={t("data.remove", { name })}>
              <ActionIcon variant="subtle" color="gray" aria-label={t("data.remove", { name })} onClick={onRemove}>
                <IconTrash size={16} />
              </ActionIcon>
            </Tooltip>
          )}
        </Group>
      </Group>
      <Facts columns facts={facts} />
      <details className="ng-more">
        <summary>{t("models.details")}</summary>
        <ModelView reference={entry.reference} />
      </details>
    </Stack>
  );
}
