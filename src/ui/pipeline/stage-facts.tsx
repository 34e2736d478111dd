/** What a pipeline's graph says of each stage: from the runs' events where they are watched, else from the records. */
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { type AlarmInput, checkAlarms } from "../../shared/alarms/check";
import type { StageConfig } from "../../shared/protocol/config";
import type { PipelineRecord, StageState } from "../../shared/protocol/pipeline";
import type { RunRecord } from "../../shared/protocol/run";
import type { RunDetail } from "../../stores/run-detail";
import { useRuns } from "../../stores/runs";
import { StateBadge } from "../common/StateBadge";
import type { NodeFacts } from "./Graph";
import { keyFigure, type MetricLookup } from "./key-figure";

export interface StageProgress {
  readonly state: StageState;
  readonly step: number;
  readonly total: number;
  readonly run: RunRecord | undefined;
  readonly detail: RunDetail | undefined;
}

/** The newest that is known of a stage. */
export function progressOf(
  pipeline: PipelineRecord,
  stageId: string,
  runs: readonly RunRecord[],
  details: Readonly<Record<string, RunDetail>>,
): StageProgress {
  const stage = pipeline.stages.find(({ id }) => id === stageId);
  const run = runs.find(({ run_id }) => run_id === stage?.run_id);
  const detail = run === undefined ? undefined : details[run.run_id];
  return {
    state: run?.state ?? stage?.state ?? "waiting",
    step: run?.step ?? stage?.step ?? 0,
    total: run?.total_steps ?? stage?.total_steps ?? 0,
    run,
    detail,
  };
}

/** Final figures first, then the newest evaluation, then the newest step. */
export function lookup({ run, detail }: StageProgress): MetricLookup {
  return (key) => run?.metrics[key] ?? detail?.eval.last(key) ?? detail?.log.last(key) ?? null;
}

export function alarmInput(stage: StageConfig, detail: RunDetail): AlarmInput {
  return {
    stage,
    log: detail.log,
    eval: detail.eval,
    majorityAccuracy: detail.prepared?.baselines?.majority_accuracy ?? null,
    diverged: detail.diverged,
  };
}

export function useStageFacts(pipeline: PipelineRecord): (stage: StageConfig) => NodeFacts {
  const { t } = useTranslation();
  const runs = useRuns((state) => state.runs);
  const details = useRuns((state) => state.details);
  return useMemo(() => {
    const facts = new Map(
      pipeline.config.stages.map((stage): [string, NodeFacts] => {
        const progress = progressOf(pipeline, stage.id, runs, details);
        const { state, step, total, detail } = progress;
        // A bar only while it moves: a finished stage says so.
        const begun = state !== "waiting" && state !== "queued" && state !== "finished" && total > 0;
        const alarms =
          detail === undefined ? [] : checkAlarms(alarmInput(stage, detail)).filter(({ active }) => active);
        return [
          stage.id,
          {
            state: <StateBadge state={state} />,
            stateText: t(`state.${state}`),
            progress: begun ? Math.min(1, step / total) : null,
            figure: keyFigure(stage.stage, lookup(progress), t),
            alarms: alarms.length,
          },
        ];
      }),
    );
    const none: NodeFacts = { state: null, stateText: "", progress: null, figure: "", alarms: 0 };
    return (stage) => facts.get(stage.id) ?? none;
  }, [pipeline, runs, details, t]);
}
