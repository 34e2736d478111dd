/** The facts of a base model. */
import { Button, Group, Loader, Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useModels } from "../../stores/models";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatBytes, formatParameters } from "../common/format";
import { Facts } from "../common/Page";
import { useFormat } from "../common/use-format";

export function ModelView({ reference }: { readonly reference: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const fetched = useModels((state) => state.summaries[reference]);
  const summarise = useModels((state) => state.summarise);
  useEffect(() => {
    void summarise(reference);
  }, [reference, summarise]);
  if (fetched === undefined || fetched.status === "loading")
    return (
      <Group gap="xs" aria-live="polite">
        <Loader size="xs" />
        <Text size="sm">{t("model.inspecting")}</Text>
      </Group>
    );
  if (fetched.status === "failed")
    return (
      <ErrorPanel
        error={fetched.error}
        actions={
          <Button size="xs" variant="default" onClick={() => void summarise(reference)}>
            {t("common.retry")}
          </Button>
        }
      />
    );
  const model = fetched.value;
  return (
    <Facts
      columns
      facts={[
        { label: t("model.parameters"), value: formatParameters(model.parameters) },
        { label: t("model.layers"), value: format.count(model.num_hidden_layers) },
        { label: t("model.hidden"), value: format.count(model.hidden_size) },
        { label: t("model.heads"), value: format.count(model.num_attention_heads) },
        { label: t("model.vocab"), value: format.count(model.vocab_size) },
        { label: t("model.context"), value: format.count(model.max_position_embeddings) },
        { label: t("model.dtype"), value: model.dtype },
        { label: t("model.bytes"), value: formatBytes(model.bytes) },
      ]}
    />
  );
}
