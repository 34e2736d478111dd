/** What a stage needs of a worker's memory, part by part, and what to do where that is too much. */
import { List, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { PreflightResult } from "../../shared/protocol/remote";
import { formatBytes } from "../common/format";

export function Preflight({ result }: { readonly result: PreflightResult }) {
  const { t } = useTranslation();
  const { fits, needed_bytes, available_bytes, parts, advice } = result;
  const values = { needed: formatBytes(needed_bytes), available: formatBytes(available_bytes) };
  if (parts.length === 0)
    return (
      <div className="ng-notice" role="status">
        <Text size="sm">{t("workers.needs_unknown", values)}</Text>
      </div>
    );
  const verdict = available_bytes === null ? "fits_unknown" : fits ? "fits" : "does_not_fit";
  return (
    <div className="ng-notice" data-tone={fits ? "good" : "warn"} role="status">
      <Text size="sm" fw={600}>
        {t(`workers.${verdict}`, values)}
      </Text>
      <Text size="sm" className="ng-numeric">
        {/* A newer worker may know parts that have no name here. */}
        {parts
          .map(({ name, bytes }) => `${t(`workers.parts.${name}`, { defaultValue: name })} ${formatBytes(bytes)}`)
          .join(" · ")}
      </Text>
      {!fits && advice.length > 0 && (
        <>
          <Text size="sm" mt={6}>
            {t("workers.advice_title")}
          </Text>
          <List size="sm">
            {advice.map((code) => (
              <List.Item key={code}>{t(`workers.advice.${code}`)}</List.Item>
            ))}
          </List>
        </>
      )}
    </div>
  );
}
