/** Bytes on their way to or from a worker. */
import { Progress } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Transfer } from "../../shared/protocol/workers";
import { formatBytes } from "../common/format";
import "./workers.css";

export function Transfers({ transfers }: { readonly transfers: readonly Transfer[] }) {
  const { t } = useTranslation();
  if (transfers.length === 0) return null;
  return (
    <ul className="ng-worker-devices">
      {transfers.map(({ direction, name, run_id, done, total }) => {
        const title = direction === "up" ? t("workers.upload", { name }) : t("workers.download", { name });
        const amount = t("workers.transfer_of", { done: formatBytes(done), total: formatBytes(total) });
        return (
          <li key={`${direction} ${run_id} ${name}`}>
            <div className="ng-worker-device">
              <span>{title}</span>
              <span className="ng-numeric">{amount}</span>
            </div>
            <Progress.Root size="sm">
              <Progress.Section
                value={total === 0 ? 100 : (done / total) * 100}
                aria-label={title}
                aria-valuetext={amount}
              />
            </Progress.Root>
          </li>
        );
      })}
    </ul>
  );
}
