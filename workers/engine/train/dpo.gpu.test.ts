/** The whole DPO stage on a real device: a tiny model, pairs from a file and from labels, nothing replaced. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DpoStageConfig, RunConfig } from "../../../src/shared/protocol/config";
import { DEFAULT_DPO_STAGE, DEFAULT_LORA } from "../../../src/shared/protocol/defaults";
import { runEvent } from "../../../src/shared/protocol/events";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { decodeCheckpoint } from "../io/checkpoint";
import { isAdapterFolder } from "../io/peft";
import { MapSource } from "../io/source";
import type { DataFile, StageInput } from "./stage";
import { Desk, tinyModel, tinyRun } from "./tiny";

const bundled = (path: string) =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../public/${path}`, import.meta.url))));
const tokenizerFiles = new Map(
  ["tokenizer.json", "tokenizer_config.json"].map((file) => [file, bundled(`models/nagi-base/${file}`)]),
);
const model = await tinyModel(tokenizerFiles);
const newDesk = (input: Partial<StageInput> = {}) => new Desk(model, input);

const GOOD = ["とても良い", "最高です", "大満足", "また買います"];
const BAD = ["とても悪い", "最低です", "がっかり", "もう買いません"];
const pairs: DataFile = {
  name: "votes.jsonl",
  bytes: new TextEncoder().encode(
    Array.from({ length: 20 }, (_, i) =>
      JSON.stringify({ prompt: `商品${i % 5}は`, chosen: GOOD[i % 4], rejected: BAD[(i >> 2) % 4] }),
    ).join("\n"),
  ),
};

const tinyDpo = (stage: Partial<DpoStageConfig>): RunConfig =>
  tinyRun({
    ...DEFAULT_DPO_STAGE,
    pairs: "votes",
    peft: { ...DEFAULT_LORA, r: 4 },
    num_train_epochs: 3,
    per_device_train_batch_size: 4,
    learning_rate: 1e-2,
    warmup_ratio: 0,
    max_length: 32,
    eval_steps: 5,
    save_steps: 4,
    logging_steps: 1,
    sample_texts: 1,
    ...stage,
  });

const KEYS = [
  "rewards/chosen",
  "rewards/rejected",
  "rewards/accuracies",
  "rewards/margins",
  "logps/chosen",
  "logps/rejected",
];

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

describe("a DPO run", () => {
  it("starts at log 2, says what TRL says, and learns to prefer the chosen answers", async () => {
    const desk = newDesk({ pairs });
    const outcome = await desk.run(gpu, tinyDpo({}));
    expect(outcome).toMatchObject({ state: "finished", error: null, step: 15, total_steps: 15, checkpoint_step: 15 });
    for (const [seq, event] of desk.events.entries()) runEvent.parse({ ...event, run_id: "r", seq, time: 0 });
    expect(desk.of("prepared")[0]).toMatchObject({ train_rows: 18, validation_rows: 2, steps_per_epoch: 5 });
    const logs = desk.of("log").map(({ metrics }) => metrics);
    for (const metrics of logs)
      for (const key of ["loss", "grad_norm", ...KEYS]) expect(metrics[key], key).toBeTypeOf("number");
    expect(logs[0]?.loss).toBeCloseTo(Math.log(2), 5);
    expect(logs[0]?.["rewards/margins"]).toBeCloseTo(0, 5);
    expect(logs.at(-1)?.loss).toBeLessThan(0.5);
    expect(logs.at(-1)?.["rewards/accuracies"]).toBe(1);
    expect(desk.of("eval").map(({ step }) => step)).toEqual([5, 10, 15]);
    for (const key of ["loss", ...KEYS]) expect(outcome.metrics[`eval_${key}`], key).toBeTypeOf("number");
    expect(outcome.metrics["eval_rewards/margins"]).toBeGreaterThan(0.1);
    expect(desk.of("samples").map(({ texts }) => texts.length)).toEqual([1, 1, 1]);
    const [made] = desk.artefacts;
    expect(made?.kind).toBe("adapter");
    expect(await isAdapterFolder(new MapSource("adapter", made?.files ?? new Map()))).toBe(true);
  });

  it("takes pairs from labels, with accumulation and smoothing", async () => {
    const desk = newDesk();
    const outcome = await desk.run(
      gpu,
      tinyDpo({ pairs: null, max_steps: 8, gradient_accumulation_steps: 2, label_smoothing: 0.1, sample_texts: 0 }),
    );
    expect(outcome).toMatchObject({ state: "finished", error: null, step: 8 });
    const losses = desk.of("log").map(({ metrics }) => metrics.loss ?? Number.NaN);
    expect(losses[0]).toBeCloseTo(Math.log(2), 5);
    expect(losses.at(-1)).toBeLessThan(losses[0] ?? 0);
    expect(desk.of("samples")).toEqual([]);
  });

  it("resumed = uninterrupted, bit for bit", async () => {
    const config = tinyDpo({ num_train_epochs: 2 });
    const whole = newDesk({ pairs });
    await whole.run(gpu, config);
    const parts = newDesk({ pairs });
    parts.onEvent = (event) => {
      if (event.type === "log" && event.step === 3) parts.wanted = "pause";
    };
    const paused = await parts.run(gpu, config);
    expect(paused.state).toBe("paused");
    parts.wanted = "run";
    expect(await parts.run(gpu, config, true)).toMatchObject({ state: "finished", step: 10 });
    expect(parts.curve).toEqual(whole.curve);
    const ends = await Promise.all(
      [whole, parts].map(async (desk) => decodeCheckpoint(desk.saved.at(-1)?.bytes ?? new Uint8Array(), "x")),
    );
    expect(ends[1]?.weights).toEqual(ends[0]?.weights);
    expect(parts.artefacts).toEqual(whole.artefacts);
  });

  it("refuses prompts that leave no room", async () => {
    const outcome = await newDesk({ pairs }).run(gpu, tinyDpo({ max_length: 2 }));
    expect(outcome.error).toMatchObject({ code: "data.empty", details: { file: "votes.jsonl" } });
  });
});
