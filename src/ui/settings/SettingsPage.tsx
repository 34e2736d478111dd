/** Language, colours, storage, the GPU, and whose work this stands on. */
import { Anchor, Button, Group, List, SegmentedControl, Stack, Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useEnvironment } from "../../stores/environment";
import { useRuns } from "../../stores/runs";
import { type ColorScheme, type Language, useSettings } from "../../stores/settings";
import { adapterName } from "../common/adapter";
import { Facts, Page, Section } from "../common/Page";
import { StorageBar } from "../common/StorageMeter";

const LANGUAGES: readonly { readonly value: Language; readonly label: string }[] = [
  { value: "ja", label: "日本語" },
  { value: "en", label: "English" },
];
const SCHEMES: readonly ColorScheme[] = ["light", "dark", "auto"];
const LIBRARIES = [
  "React",
  "Mantine",
  "uPlot",
  "zod",
  "zustand",
  "Comlink",
  "Transformers.js",
  "i18next",
  "PapaParse",
  "Tabler Icons",
];

export function SettingsPage() {
  const { t } = useTranslation();
  const { language, colorScheme, setLanguage, setColorScheme } = useSettings();
  const adapter = useEnvironment((state) => state.adapter);
  const refreshStorage = useRuns((state) => state.refreshStorage);
  useEffect(() => {
    refreshStorage().catch(() => undefined);
  }, [refreshStorage]);
  const base = import.meta.env.BASE_URL;
  return (
    <Page title={t("settings.title")}>
      <Section title={t("settings.language")} help={t("settings.language_help")}>
        <SegmentedControl
          aria-label={t("settings.language")}
          value={language}
          onChange={(value) => setLanguage(value === "ja" ? "ja" : "en")}
          data={LANGUAGES.map(({ value, label }) => ({ value, label: <span lang={value}>{label}</span> }))}
        />
      </Section>
      <Section title={t("settings.scheme")}>
        <SegmentedControl
          aria-label={t("settings.scheme")}
          value={colorScheme}
          onChange={(value) => setColorScheme(SCHEMES.find((scheme) => scheme === value) ?? "auto")}
          data={SCHEMES.map((value) => ({ value, label: t(`settings.scheme_${value}`) }))}
        />
      </Section>
      <Section title={t("settings.storage")} help={t("settings.storage_help")}>
        <Stack gap="md">
          <div>
            <StorageBar />
          </div>
          <Group>
            <Button component={Link} to="/runs" variant="default" size="sm">
              {t("settings.manage")}
            </Button>
          </Group>
        </Stack>
      </Section>
      <Section title={t("settings.gpu")}>
        <Text size="sm">{adapter === null ? t("support.banner") : adapterName(adapter)}</Text>
        <Group gap="lg" mt={4}>
          <Anchor component={Link} to="/webgpu" size="sm">
            {t("settings.gpu_more")}
          </Anchor>
          <Anchor component={Link} to="/settings/benchmark" size="sm">
            {t("settings.benchmark")}
          </Anchor>
        </Group>
      </Section>
      <Section title={t("settings.about")}>
        <Stack gap="md">
          <Text size="sm">{t("settings.about_text")}</Text>
          <Facts
            facts={[
              { label: t("settings.licence_code"), value: "MIT" },
              {
                label: t("settings.licence_model"),
                value: (
                  <>
                    {t("settings.licence_model_text")}{" "}
                    <Anchor href={`${base}models/nagi-base/README.md`} target="_blank" size="sm">
                      {t("settings.model_card")}
                    </Anchor>
                  </>
                ),
              },
              {
                label: t("settings.licence_data"),
                value: (
                  <>
                    {t("settings.licence_data_text")}{" "}
                    <Anchor href={`${base}datasets/reviews-ja/README.md`} target="_blank" size="sm">
                      {t("settings.data_card")}
                    </Anchor>
                  </>
                ),
              },
            ]}
          />
          <div>
            <Text size="sm" c="dimmed">
              {t("settings.licence_libraries")}
            </Text>
            <List size="sm" listStyleType="none" className="ng-inline-list">
              {LIBRARIES.map((name) => (
                <List.Item key={name}>{name}</List.Item>
              ))}
            </List>
          </div>
        </Stack>
      </Section>
    </Page>
  );
}
