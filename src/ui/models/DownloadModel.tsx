/** Asks which model to bring from a hub. Paused downloads go on through the same questions: the token is kept nowhere. */
import { Button, Group, Modal, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useDownloads } from "../../stores/downloads";
import { ErrorPanel } from "../common/ErrorPanel";
import { useAction } from "../common/use-action";

export interface WantedModel {
  readonly repo: string;
  readonly revision: string;
  /** Empty: huggingface.co. */
  readonly endpoint: string;
}

export const NO_MODEL: WantedModel = { repo: "", revision: "main", endpoint: "" };
export const HUGGING_FACE = "https://huggingface.co";
const EXAMPLE = "cyberagent/open-calm-small";

export function DownloadModel({ wanted, onClose }: { readonly wanted: WantedModel; readonly onClose: () => void }) {
  const { t } = useTranslation();
  const start = useDownloads((state) => state.start);
  const { busy, error, run } = useAction();
  const [asked, setAsked] = useState(wanted);
  const [token, setToken] = useState("");
  const set = (change: Partial<WantedModel>) => setAsked({ ...asked, ...change });
  const submit = () =>
    run(async () => {
      await start({
        repo: asked.repo.trim(),
        revision: asked.revision.trim() || "main",
        endpoint: asked.endpoint.trim() || null,
        token: token.trim() || null,
      });
      onClose();
    });
  return (
    <Modal
      opened
      onClose={onClose}
      title={t("download.title")}
      closeButtonProps={{ "aria-label": t("common.close") }}
      size="lg"
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          event.stopPropagation();
          void submit();
        }}
      >
        <Stack gap="md">
          <Text size="sm" c="dimmed">
            {t("download.help")}
          </Text>
          <TextInput
            label={t("download.repo")}
            placeholder={EXAMPLE}
            value={asked.repo}
            onChange={(event) => set({ repo: event.currentTarget.value })}
            required
            data-autofocus
          />
          <TextInput
            label={t("download.revision")}
            description={t("download.revision_help")}
            value={asked.revision}
            onChange={(event) => set({ revision: event.currentTarget.value })}
          />
          <PasswordInput
            label={t("download.token")}
            description={t("download.token_help")}
            value={token}
            onChange={(event) => setToken(event.currentTarget.value)}
            autoComplete="off"
            visibilityToggleButtonProps={{ "aria-label": t("download.show_token") }}
          />
          <TextInput
            label={t("download.endpoint")}
            description={t("download.endpoint_help")}
            placeholder={HUGGING_FACE}
            type="url"
            value={asked.endpoint}
            onChange={(event) => set({ endpoint: event.currentTarget.value })}
          />
          {error !== null && <ErrorPanel error={error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={busy}>
              {t("download.start")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
