/** An error in the reader's words: what is wrong, the way out, and the technical message for whoever helps. */
import { Group, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { ErrorData } from "../../shared/errors";
import { useErrorText } from "./error-text";
import "./common.css";

export interface ErrorPanelProps {
  readonly error: ErrorData;
  /** More facts on what is left, e.g. which steps are kept. */
  readonly note?: string;
  readonly actions?: ReactNode;
}

export function ErrorPanel({ error, note, actions }: ErrorPanelProps) {
  const { t } = useTranslation();
  const text = useErrorText()(error);
  return (
    <div className="ng-error" role="alert">
      <Stack gap={6}>
        <Text fw={600}>{text.title}</Text>
        <Text size="sm">{text.problem}</Text>
        {note !== undefined && <Text size="sm">{note}</Text>}
        <Text size="sm">
          <b>{t("errors.way_out")}</b> {text.wayOut}
        </Text>
        {actions !== undefined && (
          <Group gap="xs" mt={4}>
            {actions}
          </Group>
        )}
        <details>
          <summary>{t("common.details")}</summary>
          <pre>
            {error.code}
            {"\n"}
            {error.message}
          </pre>
        </details>
      </Stack>
    </div>
  );
}
