/** What there is to say of a run on a worker: bytes on their way, a worker that does not answer. */
import { Stack } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { workerOf } from "../../shared/protocol/launch";
import type { RunRecord } from "../../shared/protocol/run";
import { useWorkers, workerName } from "../../stores/workers";
import { ErrorPanel } from "../common/ErrorPanel";
import { Transfers } from "./Transfers";

const REST = new Set<RunRecord["state"]>(["finished", "stopped", "failed", "paused"]);

export function RemoteNotice({ run }: { readonly run: RunRecord }) {
  const { t } = useTranslation();
  const id = workerOf(run.place);
  const workers = useWorkers((state) => state.workers);
  const worker = workers.find((one) => one.id === id);
  const working = id !== null && !REST.has(run.state);
  useEffect(() => (working ? useWorkers.getState().watch() : undefined), [working]);
  if (id === null) return null;
  const transfers = worker?.transfers.filter(({ run_id }) => run_id === run.run_id) ?? [];
  const away = working && worker !== undefined && worker.state !== "connected" && worker.state !== "connecting";
  if (!away && transfers.length === 0) return null;
  return (
    <Stack gap="sm">
      {away && worker.state === "refused" && worker.error !== null && <ErrorPanel error={worker.error} />}
      {away && worker.state !== "refused" && (
        <div className="ng-notice" data-tone="warn" role="status">
          {t("workers.run_waits", { name: workerName(workers, id) })}
        </div>
      )}
      <Transfers transfers={transfers} />
    </Stack>
  );
}
