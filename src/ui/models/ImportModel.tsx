/** Opens a model's folder (or its files) from disk. Large files stream to storage, so this can take a while. */
import { Button, Stack } from "@mantine/core";
import { IconFolderOpen } from "@tabler/icons-react";
import { useRef } from "react";
import { useTranslation } from "react-i18next";
import type { ModelEntry } from "../../shared/protocol/library";
import { useModels } from "../../stores/models";
import { ErrorPanel } from "../common/ErrorPanel";
import { useAction } from "../common/use-action";

export function ImportModel({ onImported }: { readonly onImported?: (entry: ModelEntry) => void }) {
  const { t } = useTranslation();
  const input = useRef<HTMLInputElement>(null);
  const importFiles = useModels((state) => state.importFiles);
  const { busy, error, run } = useAction();
  const choose = (files: FileList | null) => {
    if (files === null || files.length === 0) return;
    const chosen = [...files];
    void run(async () => {
      const entry = await importFiles("", chosen);
      onImported?.(entry);
    });
  };
  return (
    <Stack gap="sm" align="flex-start">
      <input
        ref={input}
        type="file"
        hidden
        multiple
        aria-label={t("data.import_model")}
        {...{ webkitdirectory: "" }}
        onChange={(event) => {
          choose(event.currentTarget.files);
          event.currentTarget.value = "";
        }}
      />
      <Button
        variant="default"
        leftSection={<IconFolderOpen size={16} aria-hidden />}
        loading={busy}
        onClick={() => input.current?.click()}
      >
        {t("data.import_model")}
      </Button>
      {error !== null && <ErrorPanel error={error} />}
    </Stack>
  );
}
