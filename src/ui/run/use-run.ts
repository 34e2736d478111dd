/** Pieces of a run for components; each re-renders its component only when that piece changes. */
import type { RunRecord } from "../../shared/protocol/run";
import { useRuns } from "../../stores/runs";

/** A value of the run's record; undefined once the run is gone. */
export function useRecord<T>(runId: string, select: (record: RunRecord) => T): T | undefined {
  return useRuns((state) => {
    const record = state.runs.find((run) => run.run_id === runId);
    return record === undefined ? undefined : select(record);
  });
}
