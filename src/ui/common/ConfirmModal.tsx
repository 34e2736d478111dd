/** Asks before something that cannot be undone. Stays open with the error when it fails. */
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { ErrorPanel } from "./ErrorPanel";
import { useAction } from "./use-action";

export interface ConfirmModalProps {
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly title: string;
  readonly text: string;
  readonly confirm: string;
  readonly action: () => Promise<void>;
}

export function ConfirmModal({ opened, onClose, title, text, confirm, action }: ConfirmModalProps) {
  const { t } = useTranslation();
  const { busy, error, run, clear } = useAction();
  const close = () => {
    clear();
    onClose();
  };
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={title}
      closeButtonProps={{ "aria-label": t("common.close") }}
      centered
    >
      <Stack gap="md">
        <Text size="sm">{text}</Text>
        {error !== null && <ErrorPanel error={error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close} data-autofocus>
            {t("common.cancel")}
          </Button>
          <Button
            color="red.9"
            loading={busy}
            onClick={async () => {
              if (await run(action)) onClose();
            }}
          >
            {confirm}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
