import { describe, expect, it } from "vitest";
import type { RunEventBody } from "../../src/shared/protocol/events";
import { duration, Progress } from "./progress";

describe("duration", () => {
  it.each([
    [0, "0:00"],
    [7.4, "0:07"],
    [59.6, "1:00"],
    [123, "2:03"],
    [3723, "1:02:03"],
    [-1, "0:00"],
  ])("%d seconds are %s", (seconds, text) => expect(duration(seconds)).toBe(text));
});

describe("Progress", () => {
  const prepared = {
    type: "prepared",
    total_steps: 100,
    steps_per_epoch: 50,
    parameters: 1_234_567,
    trainable_parameters: 1_234_567,
    train_rows: 800,
    validation_rows: 20,
    test_rows: 0,
    truncated_rows: 3,
    baselines: { majority_accuracy: 0.55, ngram_accuracy: 0.9, ngram_auc: 0.95 },
    adapter: "llvmpipe",
    gpu_bytes: 3 * 2 ** 20,
  } as const;
  const log = { loss: 0.25, grad_norm: 1, learning_rate: 1e-4, tokens_per_second: 1234.5 };

  it("says the time left from the pace since the start", () => {
    let now = 0;
    const progress = new Progress(() => now);
    expect(progress.lines(prepared).join("\n")).toContain("3 texts were longer");
    now = 10_000;
    const [line] = progress.lines({ type: "log", step: 10, metrics: log });
    expect(line).toContain("step 10/100  loss 0.250");
    expect(line).toContain("left 1:30");
  });

  it("does not count steps of an earlier session in the pace", () => {
    let now = 0;
    const progress = new Progress(() => now);
    progress.lines(prepared);
    progress.lines({ type: "resumed", step: 50 });
    now = 10_000;
    expect(progress.lines({ type: "log", step: 60, metrics: log })[0]).toContain("left 0:40");
  });

  it("carries the last accuracy into the log lines, and shows null as a dash", () => {
    const progress = new Progress(() => 0);
    progress.lines(prepared);
    const [line] = progress.lines({ type: "eval", step: 10, metrics: { eval_accuracy: 0.876, eval_auc: null } });
    expect(line).toContain("eval_auc -");
    expect(line).toContain("n-gram 0.900, majority 0.550");
    expect(progress.lines({ type: "log", step: 11, metrics: log })[0]).toContain("accuracy 0.876");
  });

  it("reports test figures where there are some, else validation", () => {
    const progress = new Progress(() => 0);
    const of = (metrics: Record<string, number>) =>
      progress.lines({
        type: "result",
        step: 1,
        metrics: { ngram_accuracy: 0.7, ...metrics },
        calibration: [],
        samples: [],
        notes: [],
      })[0];
    expect(of({ test_accuracy: 0.9, eval_accuracy: 0.8 })).toContain("test: accuracy 0.900");
    expect(of({ eval_accuracy: 0.8 })).toContain("validation: accuracy 0.800");
  });

  it("says of each stage what the stage has", () => {
    const progress = new Progress(() => 0);
    progress.lines({ ...prepared, baselines: null });
    const [log] = progress.lines({ type: "log", step: 1, metrics: { "objective/scores": 1.5, "objective/kl": 0.25 } });
    expect(log).toContain("objective/scores 1.500  objective/kl 0.250");
    expect(log).not.toContain("loss");
    expect(log).not.toContain("accuracy");
    const [evaluation] = progress.lines({ type: "eval", step: 1, metrics: { eval_loss: 2, eval_perplexity: 7.389 } });
    expect(evaluation).toBe("step 1: eval_loss 2.000  eval_perplexity 7.389");
    const result: RunEventBody = {
      type: "result",
      step: 1,
      metrics: { eval_kl: 1 },
      calibration: [],
      samples: [],
      notes: [],
    };
    expect(progress.lines(result)).toEqual([]);
  });
});
