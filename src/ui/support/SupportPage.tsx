/** What is missing for WebGPU in this browser on this system, what to do, and what works without it. */
import { Button, List, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useEnvironment } from "../../stores/environment";
import { adapterName } from "../common/adapter";
import { formatBytes } from "../common/format";
import { Facts, Page, Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { advice } from "./advice";

const REASONS = { insecure: "reason_insecure", "no-api": "reason_no_api", "no-adapter": "reason_no_adapter" } as const;

export function SupportPage() {
  const { t } = useTranslation();
  const environment = useEnvironment();
  const { busy, run } = useAction();
  const { webgpu, adapter, browser, browserVersion, os } = environment;
  const browserName = [t(`support.browsers.${browser}`), browserVersion ?? ""].join(" ").trim();
  const again = (
    <Button variant="default" loading={busy} onClick={() => void run(() => environment.detect())}>
      {t("support.check_again")}
    </Button>
  );
  if (webgpu === "available" || webgpu === "unknown")
    return (
      <Page title={t("support.title_ok")} actions={again}>
        {adapter !== null && (
          <Section title={t("support.ok_text", { adapter: adapterName(adapter) })}>
            <Facts
              facts={[
                { label: t("support.fact_browser"), value: `${browserName} / ${t(`support.systems.${os}`)}` },
                { label: t("reward.where_buffer"), value: formatBytes(adapter.maxStorageBufferBindingSize) },
                { label: t("support.fact_features"), value: adapter.features.join(", ") || t("common.none") },
              ]}
            />
          </Section>
        )}
      </Page>
    );
  return (
    <Page
      title={t("support.title")}
      lead={t("support.lead", { browser: browserName, os: t(`support.systems.${os}`) })}
      actions={again}
    >
      <Section title={t("support.reason")}>
        <Text>{t(`support.${REASONS[webgpu]}`)}</Text>
      </Section>
      <Section title={t("support.steps")}>
        <List type="ordered" spacing="xs">
          {advice(environment).map((step) => (
            <List.Item key={step}>{t(`support.step.${step}`)}</List.Item>
          ))}
        </List>
      </Section>
      <Section title={t("support.still")}>
        <List spacing="xs">
          {(["still_runs", "still_data", "still_config"] as const).map((key) => (
            <List.Item key={key}>{t(`support.${key}`)}</List.Item>
          ))}
        </List>
      </Section>
    </Page>
  );
}
