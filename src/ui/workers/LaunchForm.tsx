/** How a worker runs a stage: processes, precision, memory, trackers. */
import { NumberInput, Select, Stack, Switch, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { DEFAULT_WANDB, type LaunchConfig, launchConfig } from "../../shared/protocol/launch";
import type { WorkerInfo } from "../../shared/protocol/remote";
import { TrackingForm } from "./TrackingForm";

const { shape } = launchConfig;
const PROCESSES = 1024;

export interface LaunchFormProps {
  readonly launch: LaunchConfig;
  /** null before the worker was first reached: everything is offered. */
  readonly info: WorkerInfo | null;
  /** Of the stage. */
  readonly kind: string;
  readonly onChange: (launch: LaunchConfig) => void;
}

export function LaunchForm({ launch, info, kind, onChange }: LaunchFormProps) {
  const { t } = useTranslation();
  const set = (change: Partial<LaunchConfig>) => onChange({ ...launch, ...change });
  const several = launch.launcher !== "local";
  /** What the worker has, and what was chosen before. */
  const offered = <T extends string>(all: readonly T[], has: readonly T[] | undefined, chosen: T): T[] =>
    all.filter((one) => has === undefined || has.includes(one) || one === chosen);
  const quantizations = offered(["8bit", "4bit"] as const, info?.quantization, launch.quantization ?? "8bit");
  return (
    <Stack gap="md">
      <div className="ng-fields">
        <Select
          label={t("workers.launcher")}
          data={offered(shape.launcher.options, info?.launchers, launch.launcher).map((value) => ({
            value,
            label: t(`workers.launchers_names.${value}`),
          }))}
          value={launch.launcher}
          allowDeselect={false}
          onChange={(value) => {
            const launcher = shape.launcher.options.find((one) => one === value) ?? "local";
            const alone = launcher === "local" ? { num_processes: 1 } : {};
            set({ launcher, ...alone, ray_address: launcher === "ray" ? (launch.ray_address ?? "auto") : null });
          }}
        />
        {several && (
          <>
            <NumberInput
              label={t("workers.num_processes")}
              min={1}
              max={PROCESSES}
              allowDecimal={false}
              clampBehavior="strict"
              inputWrapperOrder={["label", "input", "description", "error"]}
              value={launch.num_processes}
              onChange={(value) => typeof value === "number" && value >= 1 && set({ num_processes: value })}
            />
            <Select
              label={t("workers.strategy")}
              data={shape.strategy.options.map((value) => ({ value, label: t(`workers.strategies.${value}`) }))}
              value={launch.strategy}
              allowDeselect={false}
              onChange={(value) => set({ strategy: shape.strategy.options.find((one) => one === value) ?? "ddp" })}
            />
          </>
        )}
        {launch.launcher === "ray" && (
          <TextInput
            label={t("workers.ray_address")}
            description={t("workers.ray_address_help")}
            value={launch.ray_address ?? ""}
            onChange={(event) => set({ ray_address: event.currentTarget.value || null })}
          />
        )}
        <Select
          label={t("workers.precision_label")}
          data={offered(shape.precision.options, info?.precision, launch.precision)}
          value={launch.precision}
          allowDeselect={false}
          onChange={(value) => set({ precision: shape.precision.options.find((one) => one === value) ?? "float32" })}
        />
        {(info === null || info.quantization.length > 0 || launch.quantization !== null) && (
          <Select
            label={t("workers.quantization")}
            data={[
              { value: "none", label: t("workers.quantizations.none") },
              ...quantizations.map((value) => ({ value, label: t(`workers.quantizations.${value}`) })),
            ]}
            value={launch.quantization ?? "none"}
            allowDeselect={false}
            onChange={(value) => set({ quantization: quantizations.find((one) => one === value) ?? null })}
          />
        )}
        {kind === "ppo" && (
          <Select
            label={t("workers.algorithm")}
            data={(["ppo", "rloo"] as const).map((value) => ({ value, label: t(`workers.algorithms.${value}`) }))}
            value={launch.algorithm ?? "ppo"}
            allowDeselect={false}
            onChange={(value) => set({ algorithm: value === "rloo" ? "rloo" : null })}
          />
        )}
      </div>
      <Switch
        size="sm"
        label={t("workers.gradient_checkpointing")}
        checked={launch.gradient_checkpointing}
        onChange={(event) => set({ gradient_checkpointing: event.currentTarget.checked })}
      />
      {(info === null || info.trackers.length > 0 || launch.tracking !== null) && (
        <>
          <Switch
            size="sm"
            label={t("workers.tracking")}
            checked={launch.tracking !== null}
            onChange={(event) => {
              const first = info?.trackers[0] ?? "wandb";
              const wandb = first === "wandb" ? DEFAULT_WANDB : null;
              set({ tracking: event.currentTarget.checked ? { trackers: [first], wandb } : null });
            }}
          />
          {launch.tracking !== null && (
            <TrackingForm
              tracking={launch.tracking}
              has={info?.trackers ?? null}
              onChange={(tracking) => set({ tracking })}
            />
          )}
        </>
      )}
    </Stack>
  );
}
