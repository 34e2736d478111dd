import { describe, expect, it } from "vitest";
import { NagiError } from "../shared/errors";
import type { RunEvent, RunEventBody } from "../shared/protocol/events";
import { applyEvents, emptyDetail, secondsLeft } from "./run-detail";

/** Numbers bodies from `first` on, a second apart. */
function events(bodies: readonly RunEventBody[], first = 0): RunEvent[] {
  return bodies.map((body, i) => ({ ...body, run_id: "r", seq: first + i, time: 1000 * (first + i) }));
}

const log = (step: number, loss: number): RunEventBody => ({ type: "log", step, metrics: { loss } });

const prepared: RunEventBody = {
  type: "prepared",
  total_steps: 10,
  steps_per_epoch: 5,
  parameters: 1,
  trainable_parameters: 1,
  train_rows: 1,
  validation_rows: 1,
  test_rows: 0,
  truncated_rows: 0,
  baselines: { majority_accuracy: 0.5, ngram_accuracy: 0.9, ngram_auc: 0.95 },
  adapter: "test",
  gpu_bytes: 0,
};

describe("applyEvents", () => {
  it("replaces the rows after the checkpoint when a run is resumed", () => {
    const before = applyEvents(
      emptyDetail("r"),
      events([
        log(1, 0.9),
        log(2, 0.8),
        { type: "eval", step: 2, metrics: { eval_accuracy: 0.6 } },
        { type: "checkpoint", step: 2, bytes: 7 },
        log(3, 0.7),
        log(4, 0.6),
        { type: "state", state: "paused", error: new NagiError("run.interrupted", "closed").toData() },
      ]),
    ).detail;
    expect(before.state).toBe("paused");
    expect(before.error?.code).toBe("run.interrupted");
    expect(before.step).toBe(4);

    const { detail, gap } = applyEvents(
      before,
      events([{ type: "resumed", step: 2 }, { type: "state", state: "running", error: null }, log(3, 0.75)], 7),
    );
    expect(gap).toBe(false);
    expect(detail.error).toBeNull();
    expect([...detail.log.column("step")]).toEqual([1, 2, 3]);
    expect([...detail.log.column("loss")]).toEqual([0.9, 0.8, 0.75]);
    expect([...detail.eval.column("eval_accuracy")]).toEqual([0.6]);
    expect(detail.checkpoints.map((c) => c.step)).toEqual([2]);
    expect(detail.resumedAt).toEqual([2]);
    expect(detail.step).toBe(3);
    expect(detail.revision).toBe(2);
  });

  it("skips what it has seen and reports a gap without applying what follows it", () => {
    const all = events([log(1, 1), log(2, 2), log(3, 3), log(4, 4)]);
    const first = applyEvents(emptyDetail("r"), all.slice(0, 2)).detail;
    const overlapping = applyEvents(first, all.slice(1, 3));
    expect(overlapping.gap).toBe(false);
    expect(overlapping.detail.log.length).toBe(3);
    const missing = applyEvents(first, all.slice(3));
    expect(missing.gap).toBe(true);
    expect(missing.detail.lastSeq).toBe(1);
    expect(missing.detail.log.length).toBe(3);
    expect(missing.detail.revision).toBe(first.revision);
  });

  it("keeps the texts a model wrote, and drops those of steps that are run again", () => {
    const written = (step: number): RunEventBody => ({
      type: "samples",
      step,
      texts: [{ prompt: "この本", text: `は${step}`, reward: step, tokens: 2, finished: true }],
    });
    const before = applyEvents(emptyDetail("r"), events([written(0), written(2), written(4)])).detail;
    expect(before.texts.map(({ step }) => step)).toEqual([0, 2, 4]);
    const { detail } = applyEvents(before, events([{ type: "resumed", step: 2 }, written(4)], 3));
    expect(detail.texts.map(({ step, texts }) => [step, texts[0]?.text])).toEqual([
      [0, "は0"],
      [2, "は2"],
      [4, "は4"],
    ]);
  });

  it("estimates the time left from the present pace", () => {
    const { detail } = applyEvents(emptyDetail("r"), events([prepared, log(1, 1), log(2, 1), log(3, 1)]));
    // One step a second, seven of ten are left.
    expect(secondsLeft(detail)).toBeCloseTo(7);
    expect(secondsLeft(emptyDetail("r"))).toBeNull();
  });
});
