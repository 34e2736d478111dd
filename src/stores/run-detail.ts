/** A run's events folded into what a screen shows. `applyEvents` is the only way to build one. */
import type { ErrorData } from "../shared/errors";
import type { RunEvent, RunState, WrittenText } from "../shared/protocol/events";
import { MetricSeries } from "./series";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;
export type PreparedEvent = EventOf<"prepared">;
export type ResultEvent = EventOf<"result">;

export interface RunDetail {
  readonly runId: string;
  /** Changes with every batch of events; the two series are the same objects throughout (read them again). */
  readonly revision: number;
  /** Keys: step, time, loss, learning_rate, grad_norm, epoch, num_tokens, tokens_per_second, ... */
  readonly log: MetricSeries;
  /** Keys: step, time, eval_loss, eval_accuracy, eval_auc, ... */
  readonly eval: MetricSeries;
  readonly state: RunState;
  /** Of the newest state event: why it failed, or why it is paused without having been asked to (run.interrupted). */
  readonly error: ErrorData | null;
  readonly prepared: PreparedEvent | null;
  readonly result: ResultEvent | null;
  /** Texts that the model wrote while it learned, by step, ascending. */
  readonly texts: readonly { readonly step: number; readonly texts: readonly WrittenText[] }[];
  readonly checkpoints: readonly { readonly step: number; readonly bytes: number; readonly time: number }[];
  /** Steps at which the run was taken up again. */
  readonly resumedAt: readonly number[];
  readonly diverged: { readonly step: number; readonly metric: string } | null;
  /** Step of the newest log or eval event, or of the newest `resumed`. */
  readonly step: number;
  /** seq of the newest event, -1 before the first. */
  readonly lastSeq: number;
}

export function emptyDetail(runId: string): RunDetail {
  return {
    runId,
    revision: 0,
    log: new MetricSeries(),
    eval: new MetricSeries(),
    state: "queued",
    error: null,
    prepared: null,
    result: null,
    texts: [],
    checkpoints: [],
    resumedAt: [],
    diverged: null,
    step: 0,
    lastSeq: -1,
  };
}

/**
 * The detail after `events`. Events that were seen are skipped (a subscription may overlap); after a `resumed` event the
 * rows beyond its step are dropped, since the weights that made them are gone.
 * @returns the new detail, and `gap` when an event is missing: subscribe again from `detail.lastSeq + 1`.
 */
export function applyEvents(detail: RunDetail, events: readonly RunEvent[]): { detail: RunDetail; gap: boolean } {
  const next = { ...detail };
  let gap = false;
  for (const event of events) {
    if (event.seq <= next.lastSeq) continue;
    if (event.seq > next.lastSeq + 1) {
      gap = true;
      break;
    }
    next.lastSeq = event.seq;
    switch (event.type) {
      case "state":
        next.state = event.state;
        next.error = event.error;
        break;
      case "prepared":
        next.prepared = event;
        break;
      case "log":
        next.log.set(event.step, event.time, event.metrics);
        next.step = event.step;
        break;
      case "eval":
        next.eval.set(event.step, event.time, event.metrics);
        next.step = event.step;
        break;
      case "samples":
        next.texts = [...next.texts.filter(({ step }) => step < event.step), { step: event.step, texts: event.texts }];
        break;
      case "checkpoint":
        next.checkpoints = [
          ...next.checkpoints.filter((c) => c.step < event.step),
          { step: event.step, bytes: event.bytes, time: event.time },
        ];
        break;
      case "resumed":
        next.log.truncateAfter(event.step);
        next.eval.truncateAfter(event.step);
        next.texts = next.texts.filter(({ step }) => step <= event.step);
        next.checkpoints = next.checkpoints.filter((c) => c.step <= event.step);
        next.resumedAt = [...next.resumedAt, event.step];
        next.diverged = null;
        next.result = null;
        next.step = event.step;
        break;
      case "diverged":
        next.diverged = { step: event.step, metric: event.metric };
        break;
      case "result":
        next.result = event;
        next.step = event.step;
        break;
    }
  }
  if (next.lastSeq !== detail.lastSeq) next.revision = detail.revision + 1;
  return { detail: next, gap };
}

/** Seconds a step takes now, from the last `window` log rows, leaving out jumps (pauses); null before two rows. */
export function secondsPerStep(detail: RunDetail, window = 50): number | null {
  const steps = detail.log.column("step");
  const times = detail.log.column("time");
  const resumed = detail.resumedAt.at(-1) ?? -1;
  let first = Math.max(0, steps.length - window);
  while (first < steps.length && (steps[first] ?? 0) <= resumed) first++;
  const last = steps.length - 1;
  if (last <= first) return null;
  return ((times[last] ?? 0) - (times[first] ?? 0)) / 1000 / ((steps[last] ?? 0) - (steps[first] ?? 0));
}

/** Seconds until the last step at the present pace, evaluations included; null while unknown. */
export function secondsLeft(detail: RunDetail): number | null {
  const pace = secondsPerStep(detail);
  if (pace === null || detail.prepared === null) return null;
  return Math.max(0, detail.prepared.total_steps - detail.step) * pace;
}
