import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RunEvent } from "../../src/shared/protocol/events";
import { EventHub } from "./event-hub";

const log = (seq: number, run_id = "r"): RunEvent => ({ type: "log", step: seq, metrics: {}, run_id, seq, time: 0 });
const state = (seq: number): RunEvent => ({ type: "state", state: "paused", error: null, run_id: "r", seq, time: 0 });
/** A batch is sent within this many milliseconds; the clock is the test's. */
const nextBatch = () => vi.advanceTimersByTimeAsync(1000);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watcher() {
  const batches: number[][] = [];
  return { batches, listener: (events: readonly RunEvent[]) => void batches.push(events.map((event) => event.seq)) };
}

describe("EventHub", () => {
  it("sends each event once and in order, whatever comes while the stored ones are read", async () => {
    const hub = new EventHub(null);
    const { batches, listener } = watcher();
    const stored = async () => {
      hub.publish(log(2));
      hub.publish(log(3));
      // The file was read after 2 had been written and before 3 was.
      return [log(0), log(1), log(2)];
    };
    await hub.subscribe("r", 1, listener, stored);
    hub.publish(log(4));
    hub.publish(log(9, "another run"));
    await nextBatch();
    expect(batches.flat()).toEqual([1, 2, 3, 4]);
  });

  it("batches, lets state events through at once, and stops", async () => {
    const hub = new EventHub(null);
    const { batches, listener } = watcher();
    const id = await hub.subscribe("r", 0, listener, async () => []);
    for (let seq = 0; seq < 50; seq++) hub.publish(log(seq));
    expect(batches).toEqual([]);
    hub.publish(state(50));
    expect(batches.length).toBe(1);
    expect(batches[0]?.length).toBe(51);
    hub.publish(log(51));
    await nextBatch();
    expect(batches.length).toBe(2);
    hub.publish(log(52));
    hub.unsubscribe(id);
    await nextBatch();
    expect(batches.length).toBe(2);
  });

  it("asks for nothing that was seen", async () => {
    const hub = new EventHub(null);
    const { batches, listener } = watcher();
    await hub.subscribe("r", 3, listener, async () => [log(0), log(1)]);
    hub.publish(log(2));
    hub.publish(log(3));
    await nextBatch();
    expect(batches.flat()).toEqual([3]);
  });

  it("carries events to another tab", async () => {
    const [one, two] = [new BroadcastChannel("hub-test"), new BroadcastChannel("hub-test")];
    try {
      const received: RunEvent[][] = [];
      const hub = new EventHub(one);
      const arrived = new Promise<void>((resolve) => {
        const listener = (events: readonly RunEvent[]) => {
          received.push([...events]);
          resolve();
        };
        void new EventHub(two).subscribe("r", 0, listener, async () => []);
      });
      // A channel keeps the order, so this is over when the event arrives.
      one.postMessage("something else");
      hub.publish(state(0));
      await arrived;
      expect(received).toEqual([[state(0)]]);
    } finally {
      one.close();
      two.close();
    }
  });

  it("forgets a subscription whose events cannot be read", async () => {
    const hub = new EventHub(null);
    const { batches, listener } = watcher();
    const failing = hub.subscribe("r", 0, listener, () => Promise.reject(new Error("gone")));
    await expect(failing).rejects.toThrow("gone");
    hub.publish(state(0));
    expect(batches).toEqual([]);
  });
});
