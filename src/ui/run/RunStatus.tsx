/** State, progress and time; what went wrong and what is left of it. */
import { Paper, Progress, Stack, VisuallyHidden } from "@mantine/core";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { type RunRecord, stageOf } from "../../shared/protocol/run";
import { type RunDetail, secondsLeft } from "../../stores/run-detail";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { Facts } from "../common/Page";
import { StateBadge } from "../common/StateBadge";
import { useFormat } from "../common/use-format";

export function RunStatus({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const record = useRuns((state) => state.runs.find((run) => run.run_id === runId));
  const detail = useRuns((state) => state.details[runId]);
  const elapsed = useElapsed(record);
  if (record === undefined) return null;
  const { state, step, total_steps: total } = record;
  const share = total > 0 ? Math.min(1, step / total) : 0;
  const left = detail === undefined ? null : secondsLeft(detail);
  const running = state === "running";
  const epoch = detail?.log.last("epoch") ?? null;
  const progressText = t("run.step_of", { step: format.count(step), total: total > 0 ? format.count(total) : "–" });
  const facts = [
    { label: t("run.progress"), value: progressText },
    ...(epoch === null ? [] : [{ label: t("run.epoch"), value: epoch.toFixed(2) }]),
    { label: t("run.elapsed"), value: format.duration(elapsed) },
    ...(running
      ? [{ label: t("run.left"), value: left === null ? t("run.left_unknown") : format.duration(left) }]
      : []),
    {
      label: t("run.checkpoint_at"),
      value:
        record.checkpoint_step === null
          ? t("run.checkpoint_none")
          : t("run.checkpoint_step", { step: format.count(record.checkpoint_step) }),
    },
  ];
  return (
    <Paper className="ng-section ng-status">
      <Stack gap="sm">
        <div className="ng-status-head">
          <StateBadge state={state} />
          <VisuallyHidden aria-live="polite">{t("run.announce", { state: t(`state.${state}`) })}</VisuallyHidden>
          <Progress.Root size="md" className="ng-status-bar">
            <Progress.Section value={share * 100} aria-label={t("run.progress")} aria-valuetext={progressText} />
          </Progress.Root>
          <span className="ng-numeric ng-status-share">{Math.floor(share * 100)}%</span>
        </div>
        <Facts columns facts={facts} />
        <Notices record={record} detail={detail} />
      </Stack>
    </Paper>
  );
}

function Notices({ record, detail }: { readonly record: RunRecord; readonly detail: RunDetail | undefined }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { state, checkpoint_step: saved } = record;
  const savedStep = format.count(saved ?? 0);
  const stage = stageOf(record);
  const truncated = detail?.prepared?.truncated_rows ?? 0;
  const interrupted = detail?.error?.code === "run.interrupted";
  return (
    <>
      {(state === "preparing" || state === "queued") && <Notice text={t("run.preparing_text")} />}
      {state === "paused" &&
        (interrupted ? (
          <Notice tone="warn" text={t("run.interrupted_text", { step: savedStep })} />
        ) : (
          <Notice text={t("run.paused_text", { step: savedStep })} />
        ))}
      {detail !== undefined && isEvaluating(record, detail) && <Notice text={t("run.evaluating_text")} />}
      {state === "stopped" && <Notice text={t("run.stopped_text")} />}
      {detail?.diverged != null && state !== "failed" && (
        <Notice tone="warn" text={t("run.diverged", { step: format.count(detail.diverged.step) })} />
      )}
      {truncated > 0 && (
        <Notice
          text={t("run.truncated", {
            rows: format.count(truncated),
            length: format.count("max_length" in stage ? stage.max_length : null),
          })}
        />
      )}
      {detail?.error != null && !interrupted && (
        <ErrorPanel
          error={detail.error}
          note={saved === null ? t("run.failed_nothing") : t("run.failed_kept", { step: savedStep })}
        />
      )}
    </>
  );
}

function Notice({ text, tone }: { readonly text: string; readonly tone?: "warn" | "good" }) {
  return (
    <div className="ng-notice" data-tone={tone}>
      {text}
    </div>
  );
}

/** Between the last step before an evaluation and its figures nothing else is heard of the run. */
function isEvaluating(record: RunRecord, detail: RunDetail): boolean {
  const stage = stageOf(record);
  if (!("eval_steps" in stage)) return false;
  const every = stage.eval_steps;
  const due = detail.step > 0 && (detail.step % every === 0 || detail.step === detail.prepared?.total_steps);
  const measured = Math.max(detail.eval.last("step") ?? 0, detail.texts.at(-1)?.step ?? 0);
  return record.state === "running" && due && measured < detail.step;
}

/** Seconds of training: what the record says, plus, while the run goes on, the time since the record said so. */
function useElapsed(record: RunRecord | undefined): number | null {
  const running = record?.state === "running";
  const seconds = record?.seconds ?? null;
  const [since, setSince] = useState(() => ({ seconds, at: Date.now() }));
  const [now, setNow] = useState(() => Date.now());
  if (since.seconds !== seconds) setSince({ seconds, at: Date.now() });
  useEffect(() => {
    if (!running) return;
    setSince((before) => ({ ...before, at: Date.now() }));
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [running]);
  if (seconds === null || !running) return seconds;
  return seconds + Math.max(0, (now - since.at) / 1000);
}
