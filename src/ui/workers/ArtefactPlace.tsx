/** Of an artefact whose files are on a worker: says so, and fetches them. */
import { Button, Group, Stack, Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useArtefacts } from "../../stores/artefacts";
import { useWorkers, workerName } from "../../stores/workers";
import { ErrorPanel } from "../common/ErrorPanel";
import { useAction } from "../common/use-action";
import { Transfers } from "./Transfers";

export function ArtefactPlace({ id }: { readonly id: string }) {
  const { t } = useTranslation();
  const place = useArtefacts((state) => state.places[id]);
  const name = useArtefacts((state) => state.artefacts.find((one) => one.id === id)?.name);
  const pull = useArtefacts((state) => state.pull);
  const workers = useWorkers((state) => state.workers);
  const { busy, error, run } = useAction();
  const there = place !== undefined;
  useEffect(() => (there ? useWorkers.getState().watch() : undefined), [there]);
  if (place === undefined) return null;
  const worker = workers.find((one) => one.id === place);
  return (
    <div className="ng-notice">
      <Stack gap="sm">
        <Group justify="space-between" gap="sm">
          <Text size="sm">{t("workers.artefact_there", { name: workerName(workers, place) })}</Text>
          <Button size="compact-md" variant="light" loading={busy} onClick={() => void run(() => pull(id))}>
            {t("workers.pull")}
          </Button>
        </Group>
        {error !== null && <ErrorPanel error={error} />}
        <Transfers transfers={worker?.transfers.filter((one) => one.direction === "down" && one.name === name) ?? []} />
      </Stack>
    </div>
  );
}
