/** How much of the browser's storage is used, as the browser estimates it. */
import { Progress, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useRuns } from "../../stores/runs";
import { formatBytes } from "./format";
import { Section } from "./Page";

export function StorageMeter() {
  const { t } = useTranslation();
  return (
    <Section title={t("runs.storage")} help={t("settings.storage_help")}>
      <StorageBar />
    </Section>
  );
}

export function StorageBar() {
  const { t } = useTranslation();
  const storage = useRuns((state) => state.storage);
  const usage = storage?.usage ?? null;
  const quota = storage?.quota ?? null;
  if (usage === null || quota === null || quota <= 0)
    return (
      <Text size="sm" c="dimmed">
        {t("runs.storage_unknown")}
      </Text>
    );
  const text = t("runs.storage_use", { usage: formatBytes(usage), quota: formatBytes(quota) });
  return (
    <>
      <Progress.Root size="md">
        <Progress.Section
          value={Math.min(100, (usage / quota) * 100)}
          aria-label={t("runs.storage_meter")}
          aria-valuetext={text}
        />
      </Progress.Root>
      <Text size="sm" mt={6} className="ng-numeric">
        {text}
      </Text>
    </>
  );
}
