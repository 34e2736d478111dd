/**
 * A browser's run in a worker's trackers: its stored events are sent from where the worker says it has got to, now and
 * then while the run is worked on and once more at its end. What the worker did not get goes with the next session.
 */
import type { RunEvent } from "../../../src/shared/protocol/events";
import type { TrackingConfig } from "../../../src/shared/protocol/launch";
import type { RemoteWorker } from "./worker";

/** Events a message: far below what a frame may hold, samples included. */
const BATCH = 200;
/** Milliseconds between two looks at the log. */
const EVERY = 2000;

/** Never rejects: a tracker is not worth a run. */
export async function forwardEvents(
  worker: RemoteWorker,
  runId: string,
  tracking: TrackingConfig,
  stored: () => Promise<readonly RunEvent[]>,
  done: Promise<void>,
): Promise<void> {
  const release = worker.hold();
  let ended = false;
  void done.then(() => {
    ended = true;
  });
  let next = 0;
  const send = async () => {
    const events = await stored();
    while (next < events.length) {
      const command = { name: "forward" as const, run_id: runId, events: events.slice(next, next + BATCH), tracking };
      const { next_seq } = await worker.ask<"forward">(command, { patient: !ended });
      // It may have more already, from an earlier session.
      next = Math.max(next_seq, next + 1);
    }
  };
  try {
    while (!ended) {
      await send();
      await Promise.race([done, new Promise((resolve) => setTimeout(resolve, EVERY))]);
    }
    await send();
  } catch (error) {
    console.warn(`the trackers of ${worker.record.name} miss some of the run ${runId}`, error);
  } finally {
    release();
  }
}
