/** Where the run will happen, how long it will be, and the start button. */
import { Anchor, Paper, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { rewardStageOf } from "../../shared/protocol/config";
import { useDatasets } from "../../stores/datasets";
import { useEnvironment } from "../../stores/environment";
import type { PreflightOffer } from "../../stores/preflight";
import { adapterName } from "../common/adapter";
import { formatBytes } from "../common/format";
import { Facts } from "../common/Page";
import { useFormat } from "../common/use-format";
import { PreflightView } from "../preflight/PreflightView";
import type { PreflightState } from "../preflight/use-preflight";
import { type Checked, type Draft, estimateSteps, trainUnits } from "./form";

export interface StartCardProps {
  readonly draft: Draft;
  readonly checked: Checked;
  readonly preflight: PreflightState;
  /** Puts an offer of the preflight into the form. */
  readonly onApply: (changes: PreflightOffer["changes"]) => void;
  readonly children: ReactNode;
}

export function StartCard({ draft, checked, preflight, onApply, children }: StartCardProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const id = useId();
  const { webgpu, adapter } = useEnvironment();
  const summary = useDatasets((state) => state.summaries[draft.train]);
  const units = summary?.status === "ready" ? trainUnits(draft.objective, summary.value) : 0;
  const config = checked.config;
  const steps = config === null ? null : estimateSteps(config, units);
  const stage = config === null ? null : rewardStageOf(config);
  const supported = (feature: string) => t(adapter?.features.includes(feature) ? "reward.yes" : "reward.no");
  return (
    <Paper className="ng-section" component="section" aria-labelledby={id}>
      <Stack gap="md">
        <Title order={2} id={id}>
          {t("reward.section_where")}
        </Title>
        <div>
          <Text fw={600} size="sm">
            {t("reward.where_here")}
          </Text>
          {adapter !== null && (
            <Facts
              facts={[
                { label: t("reward.where_adapter"), value: adapterName(adapter) },
                { label: t("reward.where_f16"), value: supported("shader-f16") },
                { label: t("reward.where_subgroups"), value: supported("subgroups") },
                { label: t("reward.where_buffer"), value: formatBytes(adapter.maxStorageBufferBindingSize) },
              ]}
            />
          )}
          {adapter?.fallback && (
            <Text size="xs" c="dimmed" mt={4}>
              {t("reward.where_software")}
            </Text>
          )}
          {webgpu !== "available" && webgpu !== "unknown" && (
            <div className="ng-notice" data-tone="warn">
              {t("reward.start_no_gpu")}{" "}
              <Anchor component={Link} to="/webgpu" size="sm">
                {t("support.banner_link")}
              </Anchor>
            </div>
          )}
        </div>
        <div>
          <Text size="sm" c="dimmed">
            {t("reward.estimate_label")}
          </Text>
          <Text fw={600} size="lg" className="ng-numeric">
            {steps === null ? "–" : t("reward.estimate", { steps: format.count(steps) })}
          </Text>
          {stage !== null && steps !== null && (
            <Text size="xs" c="dimmed" className="ng-numeric">
              {stage.max_steps > 0
                ? t("reward.estimate_fixed")
                : t(stage.objective === "pairwise" ? "reward.estimate_pairs" : "reward.estimate_detail", {
                    rows: format.count(units),
                    batch: format.count(stage.per_device_train_batch_size * stage.gradient_accumulation_steps),
                    epochs: stage.num_train_epochs,
                  })}
            </Text>
          )}
        </div>
        {webgpu === "available" && <PreflightView state={preflight} onApply={onApply} />}
        {config === null && (
          <Text size="sm" c="var(--mantine-color-error)" role="status">
            {t("reward.start_disabled")}
          </Text>
        )}
        {children}
      </Stack>
    </Paper>
  );
}
