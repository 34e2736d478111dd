/** The whole stage on a real device: a tiny model, a tiny data set, nothing replaced. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runEvent } from "../../../src/shared/protocol/events";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { decodeCheckpoint, encodeCheckpoint } from "../io/checkpoint";
import { learningRate, warmupSteps } from "../optim/schedule";
import { loadBase } from "./base";
import { readSplits } from "./rows";
import { batchLimits, Sampler } from "./sampler";
import type { StageInput } from "./stage";
import { Desk, tinyConfig, tinyData, tinyModel, tinyRows } from "./tiny";
import { Trainer } from "./trainer";

const bundled = (path: string) =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../public/${path}`, import.meta.url))));
const tokenizerFiles = new Map(
  ["tokenizer.json", "tokenizer_config.json"].map((file) => [file, bundled(`models/nagi-base/${file}`)]),
);

const model = await tinyModel(tokenizerFiles);
const newDesk = (input: Partial<StageInput> = {}) => new Desk(model, input);

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

describe("a run from start to end", () => {
  it("emits events that the protocol accepts, in order, and learns", async () => {
    const desk = newDesk();
    const outcome = await desk.run(gpu, tinyConfig({}));
    expect(outcome).toMatchObject({ state: "finished", error: null, step: 30, total_steps: 30, checkpoint_step: 30 });
    for (const [seq, event] of desk.events.entries()) runEvent.parse({ ...event, run_id: "r", seq, time: 0 });
    expect(desk.states).toEqual(["preparing", "running", "finished"]);
    expect(desk.of("prepared")[0]).toMatchObject({
      total_steps: 30,
      steps_per_epoch: 10,
      train_rows: 37,
      test_rows: 15,
    });
    expect(desk.of("log").map(({ step }) => step)).toEqual(Array.from({ length: 15 }, (_, index) => 2 * index + 2));
    expect(desk.of("eval").map(({ step }) => step)).toEqual([7, 14, 21, 28, 30]);
    expect(desk.of("checkpoint").map(({ step }) => step)).toEqual([6, 12, 18, 24, 30]);
    const losses = desk.of("log").map(({ metrics }) => metrics.loss ?? Number.NaN);
    expect(losses.at(-1)).toBeLessThan(0.5 * (losses[0] ?? 0));
    const [result] = desk.of("result");
    expect(result?.metrics).toEqual(outcome.metrics);
    expect(result?.samples.map(({ index, review_id }) => [index, review_id])).toEqual(
      Array.from({ length: 12 }, (_, index) => [index, `r${index}`]),
    );
    expect(outcome.metrics.test_accuracy).toBeGreaterThan(0.9);
    for (const key of ["test_auc", "majority_accuracy", "ngram_accuracy", "eval_loss", "train_loss", "num_tokens"])
      expect(outcome.metrics[key], key).toBeTypeOf("number");
    expect(outcome.metrics.majority_accuracy).toBeCloseTo(10 / 15, 12);
  });

  it("has the loss curve of direct trainer steps over the same batches", async () => {
    const config = tinyConfig({
      gradient_accumulation_steps: 2,
      logging_steps: 1,
      max_steps: 6,
      lr_scheduler_type: "linear",
    });
    const desk = newDesk();
    await desk.run(gpu, config);
    const base = await loadBase(model, config, {
      slot: "base",
      head: { kind: "reward", num_labels: 1 },
      adapter: null,
    });
    const { train, validation, test } = await readSplits(tinyData, base.tokenizer, {
      maxLength: 32,
      rows: null,
      seed: 5,
    });
    const limits = batchLimits([train, validation, ...(test ? [test] : [])], "binary", 4);
    const trainer = await Trainer.create(gpu, base.config, base.tensors, {
      task: "reward",
      objective: "binary",
      optimizer: { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, max_grad_norm: 1 },
      ...limits,
    });
    const sampler = new Sampler(train, { objective: "binary", seed: 5, batch_size: 4, accumulation: 2, limits });
    const schedule = {
      type: "linear",
      learning_rate: 5e-3,
      warmup_steps: warmupSteps(0.06, 6),
      total_steps: 6,
    } as const;
    const expected: unknown[] = [];
    for (let step = 0; step < 6; step++) {
      const { loss, grad_norm } = await trainer.step(sampler.next().microBatches, learningRate(schedule, step));
      expected.push({ loss, grad_norm });
    }
    trainer.destroy();
    expect(desk.of("log").map(({ metrics: { loss, grad_norm } }) => ({ loss, grad_norm }))).toEqual(expected);
  });
});

describe.each(["binary", "cross-entropy", "pairwise"] as const)("%s", (objective) => {
  it("resumed = uninterrupted, bit for bit", async () => {
    const config = tinyConfig({ objective, num_train_epochs: 2, gradient_accumulation_steps: 2 });
    const whole = newDesk();
    const { total_steps, metrics } = await whole.run(gpu, config);
    expect(metrics.test_accuracy).toBeGreaterThan(0.6);
    const parts = newDesk();
    // Between log, evaluation and checkpoint steps.
    parts.onEvent = (event) => {
      if (event.type === "log" && event.step === 2) parts.wanted = "pause";
    };
    const paused = await parts.run(gpu, config);
    expect(paused.state).toBe("paused");
    expect(paused.step).toBeLessThanOrEqual(4);
    expect(parts.saved.at(-1)?.step).toBe(paused.step);
    expect(parts.states).toEqual(["preparing", "running", "paused"]);
    parts.wanted = "run";
    const resumed = await parts.run(gpu, config, true);
    expect(resumed).toMatchObject({ state: "finished", step: total_steps });
    expect(resumed.seconds).toBeGreaterThan(paused.seconds);
    expect(parts.of("resumed")).toEqual([{ type: "resumed", step: paused.step }]);
    expect(parts.curve).toEqual(whole.curve);
    const weights = await Promise.all(
      [whole, parts].map(
        async (desk) => (await decodeCheckpoint(desk.saved.at(-1)?.bytes ?? new Uint8Array(), "x")).weights,
      ),
    );
    expect(weights[1]).toEqual(weights[0]);
  });
});

describe("docs/metrics.md", () => {
  it.each(["binary", "pairwise"] as const)("names every key of a %s run", async (objective) => {
    const documented = readFileSync(fileURLToPath(new URL("../../../docs/metrics.md", import.meta.url)), "utf8");
    const desk = newDesk();
    await desk.run(gpu, tinyConfig({ objective, max_steps: 2 }));
    const keys = desk.events.flatMap((event) => ("metrics" in event ? Object.keys(event.metrics) : []));
    expect(keys.length).toBeGreaterThan(30);
    for (const key of keys) expect(documented).toContain(`\`${key}\``);
  });
});

describe("an interrupted run", () => {
  it("falls back to its last checkpoint after a crash, and its curve is the same", async () => {
    const config = tinyConfig({ num_train_epochs: 1 });
    const whole = newDesk();
    await whole.run(gpu, config);
    const desk = newDesk();
    desk.saved.push(...whole.saved.slice(0, 1));
    expect(desk.saved[0]?.step).toBe(6);
    const outcome = await desk.run(gpu, config, true);
    expect(outcome.state).toBe("finished");
    expect(desk.curve).toEqual(whole.curve.slice(-desk.curve.length));
    expect(desk.curve.length).toBeGreaterThan(3);
  });

  it("stops for good with a last checkpoint, and before the first step without one", async () => {
    const desk = newDesk();
    desk.onEvent = (event) => {
      if (event.type === "log") desk.wanted = "stop";
    };
    const outcome = await desk.run(gpu, tinyConfig({}));
    expect(outcome.state).toBe("stopped");
    expect(outcome.step).toBeLessThanOrEqual(4);
    expect(desk.saved.at(-1)?.step).toBe(outcome.step);
    const early = newDesk();
    early.wanted = "pause";
    expect(await early.run(gpu, tinyConfig({}))).toMatchObject({ state: "paused", step: 0, checkpoint_step: null });
    expect(early.saved).toEqual([]);
  });

  it("checkpoints when asked", async () => {
    let asked = true;
    const desk = newDesk({
      control: {
        state: () => "run",
        takeCheckpointRequest: () => {
          const now = asked;
          asked = false;
          return now;
        },
      },
    });
    await desk.run(gpu, tinyConfig({ max_steps: 4 }));
    expect(desk.of("checkpoint").map(({ step }) => step)).toEqual([1, 4]);
  });

  it("fails with gpu.lost when the device goes away, keeps its checkpoint and resumes on another device", async () => {
    const config = tinyConfig({ num_train_epochs: 2 });
    const whole = newDesk();
    await whole.run(gpu, config);
    const doomed = await openDawn();
    const desk = newDesk();
    desk.onEvent = (event) => {
      if (event.type === "log" && event.step === 8) doomed.simulateLoss();
    };
    const outcome = await desk.run(doomed, config);
    doomed.destroy();
    expect(outcome.state).toBe("failed");
    expect(outcome.error?.code).toBe("gpu.lost");
    expect(outcome.checkpoint_step).toBe(6);
    expect(desk.of("state").at(-1)?.error?.code).toBe("gpu.lost");
    expect(await desk.run(gpu, config, true)).toMatchObject({ state: "finished" });
    expect(desk.curve).toEqual(whole.curve);
  });

  it("fails with run.diverged on numbers that are not finite, and keeps the last good checkpoint", async () => {
    const good = newDesk();
    const config = tinyConfig({ max_steps: 12, warmup_ratio: 0 });
    good.wanted = "run";
    good.onEvent = (event) => {
      if (event.type === "log" && event.step === 2) good.wanted = "pause";
    };
    await good.run(gpu, config);
    const kept = good.saved.length;
    const last = good.saved.at(-1);
    if (!last) throw new Error("no checkpoint");
    // Weights near the end of float32: finite themselves, but no norm of them is.
    const { weights, ...rest } = await decodeCheckpoint(last.bytes, "x");
    const spoiled = new Map([...weights].map(([name, tensor]) => [name, tensor.map((value) => value * 1e30)]));
    good.saved.push({ step: last.step, bytes: await encodeCheckpoint({ ...rest, weights: spoiled }) });
    good.wanted = "run";
    const outcome = await good.run(gpu, config, true);
    expect(outcome).toMatchObject({ state: "failed", checkpoint_step: last.step });
    expect(outcome.error?.code).toBe("run.diverged");
    expect(good.of("diverged")).toHaveLength(1);
    expect(good.saved).toHaveLength(kept + 1);
  });

  it("fails with run.diverged at an absurd learning rate, in the step that shows it", async () => {
    const desk = newDesk();
    const outcome = await desk.run(gpu, tinyConfig({ learning_rate: 1e30, warmup_ratio: 0, max_grad_norm: 0 }));
    expect(outcome).toMatchObject({ state: "failed", checkpoint_step: null, error: { code: "run.diverged" } });
    expect(desk.of("diverged")).toHaveLength(1);
    expect(desk.of("diverged")[0]?.step).toBeLessThanOrEqual(3);
    expect(desk.saved).toEqual([]);
  });

  it("fails with the storage's error when a checkpoint cannot be stored", async () => {
    const desk = newDesk({
      storage: {
        saveCheckpoint: () => Promise.reject(new RangeError("disk full")),
        loadCheckpoint: async () => null,
      },
    });
    const outcome = await desk.run(gpu, tinyConfig({}));
    expect(outcome).toMatchObject({ state: "failed", step: 6, checkpoint_step: null, error: { message: "disk full" } });
  });

  it("refuses to continue another run's checkpoint", async () => {
    const desk = newDesk();
    await desk.run(gpu, tinyConfig({ max_steps: 2 }));
    const other = await desk.run(gpu, tinyConfig({ max_steps: 3 }), true);
    expect(other.error).toMatchObject({ code: "config.invalid", details: { path: "stages" } });
    const rest = newDesk({ data: { ...tinyData, train: tinyRows(36, 1) } });
    rest.saved.push(...desk.saved);
    expect((await rest.run(gpu, tinyConfig({ max_steps: 2 }), true)).error).toMatchObject({
      code: "config.invalid",
      details: { path: "data.train" },
    });
  });
});
