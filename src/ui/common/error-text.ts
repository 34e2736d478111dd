/** The catalogue's text for an error. Details that the catalogue names but the error lacks are said to be unknown. */
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import type { ErrorData } from "../../shared/errors";
import { formatBytes } from "./format";

export interface ErrorText {
  readonly title: string;
  readonly problem: string;
  readonly wayOut: string;
}

/** Details that are sizes, and are shown as such. */
const BYTES = new Set(["needed", "granted", "available", "bytes"]);
const PLACEHOLDERS = [
  "file",
  "line",
  "column",
  "label",
  "field",
  "architecture",
  "tensor",
  "actual",
  "expected",
  "dtype",
  "path",
  "reason",
  "what",
  "needed",
  "granted",
  "available",
  "metric",
  "step",
  "checkpoint_step",
  "name",
  "command",
  "state",
  "message",
  "run_id",
];

export function useErrorText(): (error: ErrorData) => ErrorText {
  const { t } = useTranslation();
  return useCallback(
    (error) => {
      const values: { [name: string]: unknown; context?: string } = Object.fromEntries(
        PLACEHOLDERS.map((name) => [name, t("common.unknown")]),
      );
      for (const [name, value] of Object.entries(error.details)) {
        if (value === null) continue;
        values[name] = BYTES.has(name) && typeof value === "number" ? formatBytes(value) : String(value);
      }
      return {
        title: t(`errors.${error.code}.title`, values),
        problem: t(`errors.${error.code}.problem`, values),
        wayOut: t(`errors.${error.code}.wayOut`, values),
      };
    },
    [t],
  );
}
