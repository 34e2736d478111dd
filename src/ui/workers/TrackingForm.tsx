/** Where figures are recorded. The W&B fields are the arguments of wandb.init, by its names. */
import { MultiSelect, Select, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import {
  DEFAULT_WANDB,
  type TrackerName,
  type TrackingConfig,
  trackerName,
  type WandbSettings,
  wandbSettings,
} from "../../shared/protocol/launch";

const MODES = wandbSettings.shape.mode.options;

export interface TrackingFormProps {
  readonly tracking: TrackingConfig;
  /** What the worker has installed; null where that is unknown. */
  readonly has: readonly TrackerName[] | null;
  readonly onChange: (tracking: TrackingConfig) => void;
}

export function TrackingForm({ tracking, has, onChange }: TrackingFormProps) {
  const { t } = useTranslation();
  const names = trackerName.options.filter((name) => (has?.includes(name) ?? true) || tracking.trackers.includes(name));
  const { wandb } = tracking;
  return (
    <Stack gap="md">
      <MultiSelect
        label={t("workers.trackers")}
        data={names.map((value) => ({ value, label: t(`workers.tracker_names.${value}`) }))}
        value={[...tracking.trackers]}
        onChange={(values) => {
          const trackers = names.filter((name) => values.includes(name));
          // Nothing to record with is the switch above, not an empty list.
          if (trackers.length > 0)
            onChange({ trackers, wandb: trackers.includes("wandb") ? (wandb ?? DEFAULT_WANDB) : null });
        }}
      />
      {wandb !== null && <WandbForm wandb={wandb} onChange={(next) => onChange({ ...tracking, wandb: next })} />}
    </Stack>
  );
}

interface WandbFormProps {
  readonly wandb: WandbSettings;
  readonly onChange: (wandb: WandbSettings) => void;
}

function WandbForm({ wandb, onChange }: WandbFormProps) {
  const { t } = useTranslation();
  const [tags, setTags] = useState(wandb.tags.join(", "));
  const set = (change: Partial<WandbSettings>) => onChange({ ...wandb, ...change });
  const optional = (field: "name" | "entity" | "group") => (
    <TextInput
      label={t(`workers.wandb_${field}`)}
      description={t("workers.optional")}
      value={wandb[field] ?? ""}
      maxLength={128}
      onChange={(event) => set({ [field]: event.currentTarget.value || null })}
    />
  );
  return (
    <>
      <div className="ng-fields">
        <TextInput
          label={t("workers.wandb_project")}
          value={wandb.project}
          maxLength={128}
          error={wandb.project === "" ? t("problems.missing") : undefined}
          onChange={(event) => set({ project: event.currentTarget.value })}
        />
        {optional("name")}
        {optional("entity")}
        {optional("group")}
        <TextInput
          label={t("workers.wandb_tags")}
          description={t("workers.optional")}
          value={tags}
          onChange={(event) => {
            setTags(event.currentTarget.value);
            const written = event.currentTarget.value.split(/[,、]/).map((tag) => tag.trim());
            set({ tags: written.filter((tag) => tag !== "").slice(0, 32) });
          }}
        />
        <Select
          label={t("workers.wandb_mode")}
          data={MODES.map((value) => ({ value, label: t(`workers.wandb_modes.${value}`) }))}
          value={wandb.mode}
          allowDeselect={false}
          onChange={(value) => set({ mode: MODES.find((one) => one === value) ?? "online" })}
        />
      </div>
      <Text size="sm" c="dimmed">
        {t("workers.wandb_key")}
      </Text>
    </>
  );
}
