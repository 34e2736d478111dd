/** The catalogue's text for an error. Details that the catalogue names but the error lacks are said to be unknown. */
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import type { ErrorData, ErrorDetails } from "../../shared/errors";
import { formatBytes } from "./format";

export interface ErrorText {
  readonly title: string;
  readonly problem: string;
  readonly wayOut: string;
}

/** Details that are sizes, and are shown as such. */
const BYTES = new Set(["needed", "granted", "available"]);

/** Details that stand in for one that a code may lack. */
export const STAND_INS: Readonly<Record<string, readonly string[]>> = {
  field: ["reason"],
  found: ["actual"],
  reason: ["problem", "message"],
};

/** What the catalogue's placeholders are filled with; a detail that nobody knows is said to be `unknown`. */
export function errorValues(details: ErrorDetails, unknown: string): (name: string) => string {
  return (name) => {
    for (const candidate of [name, ...(STAND_INS[name] ?? [])]) {
      const value = details[candidate];
      if (value === undefined || value === null || value === "") continue;
      return BYTES.has(candidate) && typeof value === "number" ? formatBytes(value) : String(value);
    }
    return unknown;
  };
}

/** The text of an error in the reader's language. */
export function useErrorText(): (error: ErrorData) => ErrorText {
  const { t } = useTranslation();
  return useCallback(
    (error) => {
      const value = errorValues(error.details, t("common.unknown"));
      const text = (part: "title" | "problem" | "wayOut") =>
        t(`errors.${error.code}.${part}`, { skipInterpolation: true }).replace(/\{\{(\w+)\}\}/g, (_, name: string) =>
          value(name),
        );
      return { title: text("title"), problem: text("problem"), wayOut: text("wayOut") };
    },
    [t],
  );
}
