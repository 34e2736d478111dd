/** The texts of an evaluation, once there are any. */
import { Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Section } from "../common/Page";
import { Lineage } from "../results/Lineage";
import { TextsView } from "../results/TextsView";
import { useRecord } from "./use-run";

export function CompareTab({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const artefact = useRecord(runId, (record) => record.artefact) ?? null;
  if (artefact === null)
    return (
      <Section title={t("results.title")}>
        <Text c="dimmed">{t("results.waiting")}</Text>
      </Section>
    );
  return (
    <Stack gap="md">
      <TextsView artefact={artefact} />
      <Lineage artefact={artefact} />
    </Stack>
  );
}
