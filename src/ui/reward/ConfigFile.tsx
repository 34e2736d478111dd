/** The config as a file: the same JSON that `nagi run` takes, out and in. */
import { Button, CopyButton, FileButton, Group, Stack, Text } from "@mantine/core";
import { IconCopy, IconDownload, IconUpload } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { RunConfig } from "../../shared/protocol/config";
import { formatRunConfig, parseRunConfig } from "../../shared/protocol/config-file";
import { download, safeFileName } from "../common/download";
import { ErrorPanel } from "../common/ErrorPanel";
import { Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { isImported } from "../data/references";

export interface ConfigFileProps {
  readonly config: RunConfig | null;
  readonly onImport: (config: RunConfig) => void;
}

export function ConfigFile({ config, onImport }: ConfigFileProps) {
  const { t } = useTranslation();
  const { error, run } = useAction();
  const [imported, setImported] = useState(false);
  const file = `${safeFileName(config?.name ?? "reward")}.json`;
  const command = `npm run --silent nagi -- run ${quote(file)} --out out/${quote(safeFileName(config?.name ?? "reward"))}`;
  const usesImports =
    config !== null &&
    [config.model.model_name_or_path, config.data.train, config.data.validation, config.data.test].some(isImported);
  return (
    <Section title={t("reward.section_share")} help={t("reward.config_help")}>
      <Stack gap="md">
        <Group gap="xs">
          <Button
            variant="default"
            leftSection={<IconDownload size={16} aria-hidden />}
            disabled={config === null}
            onClick={() => {
              if (config !== null) download(formatRunConfig(config), file, "application/json");
            }}
          >
            {t("reward.config_export")}
          </Button>
          <FileButton
            accept="application/json,.json"
            onChange={(chosen) => {
              if (chosen === null) return;
              setImported(false);
              void run(async () => {
                onImport(parseRunConfig(await chosen.text(), chosen.name));
                setImported(true);
              });
            }}
          >
            {(props) => (
              <Button variant="default" leftSection={<IconUpload size={16} aria-hidden />} {...props}>
                {t("reward.config_import")}
              </Button>
            )}
          </FileButton>
          {imported && (
            <Text size="sm" role="status">
              {t("reward.config_imported")}
            </Text>
          )}
        </Group>
        {error !== null && <ErrorPanel error={error} />}
        <div>
          <Group justify="space-between" mb={4}>
            <Text size="sm" fw={500}>
              {t("reward.command_label")}
            </Text>
            <CopyButton value={command}>
              {({ copied, copy }) => (
                <Button
                  variant="subtle"
                  size="compact-sm"
                  leftSection={<IconCopy size={14} aria-hidden />}
                  onClick={copy}
                >
                  {t(copied ? "common.copied" : "common.copy")}
                </Button>
              )}
            </CopyButton>
          </Group>
          <pre className="ng-code">{command}</pre>
          {usesImports && (
            <Text size="xs" c="dimmed" mt={4}>
              {t("reward.command_import_note")}
            </Text>
          )}
        </div>
      </Stack>
    </Section>
  );
}

/** Quotes an argument for a POSIX shell where it needs it. */
function quote(argument: string): string {
  return /^[\w.-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}
