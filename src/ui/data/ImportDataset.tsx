/** Opens a data set from disk: a training file and, if there are any, files for validation and test. */
import { Button, FileInput, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconFolderOpen } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { DatasetEntry } from "../../shared/protocol/library";
import { useDatasets } from "../../stores/datasets";
import { ErrorPanel } from "../common/ErrorPanel";
import { useAction } from "../common/use-action";

const ACCEPT = ".jsonl,.json,.ndjson,.csv,.tsv,.txt";
const SPLIT_SEED = 0;

export function ImportDataset({ onImported }: { readonly onImported?: (entry: DatasetEntry) => void }) {
  const { t } = useTranslation();
  const [opened, { open, close }] = useDisclosure();
  const importFiles = useDatasets((state) => state.importFiles);
  const { busy, error, run, clear } = useAction();
  const [train, setTrain] = useState<File | null>(null);
  const [validation, setValidation] = useState<File | null>(null);
  const [test, setTest] = useState<File | null>(null);
  const [name, setName] = useState<string | null>(null);

  const finish = () => {
    clear();
    setTrain(null);
    setValidation(null);
    setTest(null);
    setName(null);
    close();
  };
  const shownName = name ?? train?.name.replace(/\.[^.]+$/, "") ?? "";
  const submit = () =>
    run(async () => {
      if (train === null) return;
      const entry = await importFiles({
        name: shownName.trim() || train.name,
        train,
        validation,
        test,
        seed: SPLIT_SEED,
      });
      finish();
      onImported?.(entry);
    });

  return (
    <>
      <Button variant="default" leftSection={<IconFolderOpen size={16} aria-hidden />} onClick={open}>
        {t("data.import")}
      </Button>
      <Modal
        opened={opened}
        onClose={finish}
        title={t("data.import")}
        closeButtonProps={{ "aria-label": t("common.close") }}
        size="lg"
      >
        <form
          onSubmit={(event) => {
            event.preventDefault();
            // React sends events of a dialog on to the form that it was opened from.
            event.stopPropagation();
            void submit();
          }}
        >
          <Stack gap="md">
            <Text size="sm" c="dimmed">
              {t("data.import_help")}
            </Text>
            <FileInput
              label={t("reward.train_label")}
              placeholder={t("data.choose_file")}
              accept={ACCEPT}
              value={train}
              onChange={setTrain}
              required
              clearable
              clearButtonProps={{ "aria-label": t("data.clear_file") }}
            />
            <FileInput
              label={t("reward.validation_label")}
              description={t("data.validation_help")}
              placeholder={t("data.choose_file_optional")}
              accept={ACCEPT}
              value={validation}
              onChange={setValidation}
              clearable
              clearButtonProps={{ "aria-label": t("data.clear_file") }}
            />
            <FileInput
              label={t("reward.test_label")}
              description={t("data.test_help")}
              placeholder={t("data.choose_file_optional")}
              accept={ACCEPT}
              value={test}
              onChange={setTest}
              clearable
              clearButtonProps={{ "aria-label": t("data.clear_file") }}
            />
            <TextInput
              label={t("reward.name_label")}
              description={t("data.name_help")}
              value={shownName}
              maxLength={120}
              onChange={(event) => setName(event.currentTarget.value)}
            />
            {error !== null && <ErrorPanel error={error} />}
            <Group justify="flex-end" gap="xs">
              <Button variant="default" onClick={finish}>
                {t("common.cancel")}
              </Button>
              <Button type="submit" disabled={train === null} loading={busy}>
                {t("data.import_submit")}
              </Button>
            </Group>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
