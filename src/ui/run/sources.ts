/** Chart sources of a run: they read the store outside React. */
import { useMemo } from "react";
import type { RunDetail } from "../../stores/run-detail";
import { useRuns } from "../../stores/runs";
import type { PlotReference } from "../charts/plot";
import type { ChartSource } from "../charts/source";

const NONE: readonly PlotReference[] = [];

/** @param references horizontal lines; must be a stable function */
export function useRunSource(
  runId: string,
  table: "log" | "eval",
  references: (detail: RunDetail) => readonly PlotReference[] = () => NONE,
): ChartSource {
  return useMemo(
    () => ({
      subscribe: (listener) =>
        useRuns.subscribe((state, before) => {
          if (state.details[runId] !== before.details[runId]) listener();
        }),
      read: () => {
        const { details, runs } = useRuns.getState();
        const detail = details[runId];
        if (detail === undefined) return null;
        const planned = runs.find((run) => run.run_id === runId)?.total_steps ?? 0;
        return {
          series: detail[table],
          references: references(detail),
          xMax: Math.max(planned, detail.step, 1),
        };
      },
    }),
    [runId, table, references],
  );
}
