/** Where one stage runs, and how. */
import { Anchor, Button, Group, Select, Stack, Switch, Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { RunConfig, StageConfig } from "../../shared/protocol/config";
import { DEFAULT_LAUNCH, DEFAULT_WANDB, type StagePlace } from "../../shared/protocol/launch";
import type { PreflightResult } from "../../shared/protocol/remote";
import { useWorkers, workerName } from "../../stores/workers";
import { ErrorPanel } from "../common/ErrorPanel";
import { useAction } from "../common/use-action";
import { LaunchForm } from "./LaunchForm";
import { Preflight } from "./Preflight";
import { TrackingForm } from "./TrackingForm";
import { WorkerStateBadge } from "./WorkerCard";
import "./workers.css";

const HERE = "";

export interface PlaceFormProps {
  readonly stage: string;
  readonly kind: StageConfig["stage"];
  readonly place: StagePlace | null;
  readonly onChange: (place: StagePlace | null) => void;
  /** null while a field is wrong: nothing can be asked about it. */
  readonly config: RunConfig | null;
  /** What was asked about the memory. */
  readonly preflight: PreflightResult | null;
  readonly onPreflight: (result: PreflightResult | null) => void;
}

export function PlaceForm({ stage, kind, place, onChange, config, preflight, onPreflight }: PlaceFormProps) {
  const { t } = useTranslation();
  const workers = useWorkers((state) => state.workers);
  const ask = useWorkers((state) => state.preflight);
  const asking = useAction();
  useEffect(() => useWorkers.getState().watch(), []);
  const chosen = place?.at === "worker" ? place.worker : HERE;
  const worker = workers.find(({ id }) => id === place?.worker);
  const change = (next: StagePlace | null) => {
    onPreflight(null);
    asking.clear();
    onChange(next);
  };
  const known = chosen === HERE || workers.some(({ id }) => id === chosen);
  if (workers.length === 0 && place === null)
    return (
      <Text size="sm">
        {t("workers.place")}: {t("workers.here")} ·{" "}
        <Anchor component={Link} to="/workers" size="sm" underline="always">
          {t("workers.place_add")}
        </Anchor>
      </Text>
    );
  return (
    <Stack gap="md">
      <Group align="flex-end" gap="md">
        <Select
          label={t("workers.place")}
          description={t("workers.place_help")}
          data={[
            { value: HERE, label: t("workers.here") },
            ...workers.map(({ id, name }) => ({ value: id, label: name })),
            ...(known ? [] : [{ value: chosen, label: chosen }]),
          ]}
          value={chosen}
          allowDeselect={false}
          onChange={(id) => {
            const launch = place?.at === "worker" ? place.launch : DEFAULT_LAUNCH;
            change(id === null || id === HERE ? null : { at: "worker", worker: id, launch });
          }}
        />
        {worker !== undefined && <WorkerStateBadge state={worker.state} />}
      </Group>
      {worker?.error != null && <ErrorPanel error={worker.error} />}
      {place?.at === "worker" && (
        <>
          <LaunchForm
            launch={place.launch}
            info={worker?.info ?? null}
            kind={kind}
            onChange={(launch) => change({ ...place, launch })}
          />
          <div>
            <Button
              variant="default"
              size="sm"
              loading={asking.busy}
              disabled={config === null}
              onClick={() =>
                void asking.run(async () => {
                  if (config !== null)
                    onPreflight(await ask({ worker: place.worker, config, stage, launch: place.launch }));
                })
              }
            >
              {t("workers.preflight")}
            </Button>
          </div>
          {asking.error !== null && <ErrorPanel error={asking.error} />}
          {preflight !== null && <Preflight result={preflight} />}
        </>
      )}
      {place?.at !== "worker" && (
        <Switch
          size="sm"
          label={t("workers.forward")}
          checked={place?.at === "browser"}
          onChange={(event) => {
            const first = workers[0];
            if (!event.currentTarget.checked || first === undefined) return change(null);
            const tracker = first.info?.trackers[0] ?? "wandb";
            const wandb = tracker === "wandb" ? DEFAULT_WANDB : null;
            change({ at: "browser", worker: first.id, tracking: { trackers: [tracker], wandb } });
          }}
        />
      )}
      {place?.at === "browser" && (
        <>
          <Select
            label={t("workers.forward_to")}
            data={workers.map(({ id, name }) => ({ value: id, label: name }))}
            value={place.worker}
            allowDeselect={false}
            placeholder={workerName(workers, place.worker)}
            onChange={(id) => id !== null && change({ ...place, worker: id })}
          />
          <TrackingForm
            tracking={place.tracking}
            has={worker?.info?.trackers ?? null}
            onChange={(tracking) => change({ ...place, tracking })}
          />
        </>
      )}
    </Stack>
  );
}
