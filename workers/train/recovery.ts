/**
 * What is left of runs whose tab was closed, crashed or killed: found in a working state with nobody holding their lock,
 * they become paused, with an event that says so, and can be resumed.
 */
import { NagiError } from "../../src/shared/errors";
import type { RunEvent, RunState } from "../../src/shared/protocol/events";
import type { RunRecord } from "../../src/shared/protocol/run";
import type { RunFolder } from "./run-folder";

const WORKING = new Set<RunState>(["queued", "preparing", "running"]);

export const isWorking = (state: RunState): boolean => WORKING.has(state);

/** Call with the run's lock held. @returns the record as it is from now on, and the event to publish */
export async function recoverRun(
  folder: RunFolder,
  record: RunRecord,
): Promise<{ record: RunRecord; event: RunEvent | null }> {
  const log = await folder.openLog();
  try {
    const followed = followEvents(record, log.stored);
    const last = lastState(log.stored);
    const state = last?.state ?? record.state;
    // The end was logged, but the record not yet written.
    if (!isWorking(state)) {
      const ended: RunRecord = { ...followed, state, error: last?.error ?? null };
      await folder.saveRecord(ended);
      return { record: ended, event: null };
    }
    const { step, checkpoint_step } = followed;
    const error = new NagiError(
      "run.interrupted",
      `The tab was closed at step ${step}. Resume continues from ${checkpoint_step === null ? "the beginning" : `the checkpoint of step ${checkpoint_step}`}.`,
      { step, checkpoint_step },
    );
    const event = log.append({ type: "state", state: "paused", error: error.toData() });
    if (log.error !== null) throw log.error;
    const recovered: RunRecord = { ...followed, state: "paused", error: error.toData() };
    await folder.saveRecord(recovered);
    return { record: recovered, event };
  } finally {
    log.close();
  }
}

/** The last word on the state; null before the first. */
export function lastState(events: readonly RunEvent[]): Extract<RunEvent, { type: "state" }> | null {
  const last = events.findLast((event) => event.type === "state");
  return last?.type === "state" ? last : null;
}

/** The record with what the log knows better. */
export function followEvents(record: RunRecord, events: readonly RunEvent[]): RunRecord {
  let next = record;
  for (const event of events) {
    if (event.type === "prepared") next = { ...next, adapter: event.adapter, total_steps: event.total_steps };
    else if (event.type === "checkpoint") next = { ...next, step: event.step, checkpoint_step: event.step };
    else if (event.type === "result") next = { ...next, step: event.step, metrics: event.metrics };
    else if (event.type === "log" || event.type === "eval" || event.type === "resumed")
      next = { ...next, step: event.step };
  }
  return next;
}
