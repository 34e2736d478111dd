/** The whole SFT stage on a real device: a tiny model, a tiny data set, nothing replaced. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SftStageConfig } from "../../../src/shared/protocol/config";
import { DEFAULT_LORA } from "../../../src/shared/protocol/defaults";
import { runEvent } from "../../../src/shared/protocol/events";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { decodeCheckpoint } from "../io/checkpoint";
import { loadAdapter } from "../io/peft";
import { MapSource } from "../io/source";
import { wholeTensors } from "../io/tensors";
import { loadMerged, loadWeights } from "./base";
import { Desk, tinyModel, tinyRows, tinySft } from "./tiny";

const bundled = (path: string) =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../public/${path}`, import.meta.url))));
const tokenizerFiles = new Map(
  ["tokenizer.json", "tokenizer_config.json"].map((file) => [file, bundled(`models/nagi-base/${file}`)]),
);
const model = await tinyModel(tokenizerFiles);
const lora = { ...DEFAULT_LORA, r: 4, lora_dropout: 0.1 };

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

describe("an SFT run", () => {
  it("emits events that the protocol accepts, learns, and hands over a model", async () => {
    const desk = new Desk(model);
    const outcome = await desk.run(
      gpu,
      tinySft({ template: "レビュー：{sentence}", completion_only_loss: true, learning_rate: 3e-2 }),
    );
    expect(outcome).toMatchObject({ state: "finished", error: null, step: 14, total_steps: 14, checkpoint_step: 14 });
    for (const [seq, event] of desk.events.entries()) runEvent.parse({ ...event, run_id: "r", seq, time: 0 });
    const losses = desk.of("log").map(({ metrics }) => metrics.loss ?? Number.NaN);
    expect(losses).toHaveLength(7);
    expect(losses.at(-1)).toBeLessThan(0.8 * (losses[0] ?? 0));
    expect(desk.of("eval").map(({ step }) => step)).toEqual([5, 10, 14]);
    const samples = desk.of("samples");
    expect(samples.map(({ step }) => step)).toEqual([5, 10, 14]);
    for (const { texts } of samples) {
      expect(texts).toHaveLength(4);
      for (const { prompt, tokens } of texts) {
        expect(prompt).toMatch(/^レビュー：./);
        expect(tokens).toBeGreaterThan(0);
      }
    }
    // The same prompts every time.
    expect(samples.map(({ texts }) => texts.map(({ prompt }) => prompt))).toEqual(
      samples.map(() => samples[0]?.texts.map(({ prompt }) => prompt)),
    );
    const { eval_loss, eval_perplexity } = outcome.metrics;
    expect(Math.log(eval_perplexity ?? Number.NaN)).toBeCloseTo(eval_loss ?? 0, 9);
    const [made] = desk.artefacts;
    expect(made?.kind).toBe("model");
    const loaded = await loadWeights(new MapSource("made", made?.files ?? new Map()), { kind: "causal-lm" });
    const { weights } = await decodeCheckpoint(desk.saved.at(-1)?.bytes ?? new Uint8Array(), "x");
    expect(await wholeTensors(loaded.tensors)).toEqual(weights);
  });

  it("hands over an adapter that moves the model it was trained on", async () => {
    const desk = new Desk(model);
    const outcome = await desk.run(gpu, tinySft({ peft: lora }));
    expect(outcome).toMatchObject({ state: "finished", error: null });
    const [prepared] = desk.of("prepared");
    expect(prepared?.trainable_parameters).toBeLessThan((prepared?.parameters ?? 0) / 10);
    const [made] = desk.artefacts;
    expect(made?.kind).toBe("adapter");
    const source = new MapSource("adapter", made?.files ?? new Map());
    const base = await loadWeights(model, { kind: "causal-lm" });
    expect((await loadAdapter(source, base.config, { kind: "causal-lm" })).lora).toMatchObject({
      r: 4,
      lora_alpha: 32,
    });
    // The checkpoint holds the adapter alone; the merged model learns on from where it stood.
    const first = desk.of("eval").at(-1)?.metrics.eval_loss ?? Number.NaN;
    const merged = new Desk(model, { adapter: source });
    await merged.run(gpu, tinySft({ max_steps: 1, learning_rate: 1e-9, eval_steps: 1 }));
    const again = merged.of("eval").at(-1)?.metrics.eval_loss ?? Number.NaN;
    expect(Math.abs(again - first)).toBeLessThanOrEqual(2e-3);
    const { tensors } = await loadMerged(model, source);
    expect([...tensors.keys()]).toEqual([...base.tensors.keys()]);
  });

  it("does not depend on how texts are packed, as long as they are all in the step", async () => {
    // 37 rows, all in one step: what is learnt is the same however they lie.
    const loss = async (packing: SftStageConfig["packing"]) => {
      const desk = new Desk(model);
      const batch = { packing, per_device_train_batch_size: 64, max_steps: 2, max_length: 64, warmup_ratio: 0 };
      await desk.run(gpu, tinySft({ ...batch, logging_steps: 1, eval_steps: 2 }));
      return [...desk.of("log"), ...desk.of("eval")].map(
        ({ metrics }) => metrics.loss ?? metrics.eval_loss ?? Number.NaN,
      );
    };
    const [plain, packed, wrapped] = [await loss(false), await loss("bfd"), await loss("wrapped")];
    expect(plain).toHaveLength(3);
    for (const [index, value] of plain.entries())
      expect(Math.abs((packed[index] ?? Number.NaN) - value)).toBeLessThanOrEqual(1e-5 * value);
    // Run on, a text sees the one before it.
    expect(Math.abs((wrapped[0] ?? Number.NaN) - (plain[0] ?? 0))).toBeGreaterThan(1e-4);
  });
});

describe.each([
  ["full", null],
  ["lora", lora],
] as const)("%s", (_, peft) => {
  it("resumed = uninterrupted, bit for bit", async () => {
    const config = tinySft({ peft, gradient_accumulation_steps: 2, num_train_epochs: 2, max_steps: -1 });
    const whole = new Desk(model);
    const { total_steps } = await whole.run(gpu, config);
    expect(total_steps).toBeGreaterThan(3);
    const parts = new Desk(model);
    parts.onEvent = (event) => {
      if (event.type === "log" && event.step === 2) parts.wanted = "pause";
    };
    expect((await parts.run(gpu, config)).state).toBe("paused");
    parts.wanted = "run";
    expect(await parts.run(gpu, config, true)).toMatchObject({ state: "finished", step: total_steps });
    expect(parts.curve).toEqual(whole.curve);
    expect(parts.artefacts).toEqual(whole.artefacts);
  });
});

describe("what is wrong", () => {
  it.each([
    ["config.invalid", { template: "{sentence}、{sentence}" }, {}],
    ["data.empty", { labels: "negative" }, { validation: tinyRows(1, 2) }],
    ["data.empty", { template: `${"長".repeat(80)}{sentence}`, completion_only_loss: true }, {}],
  ] as const)("is refused with %s: %j", async (code, stage, files) => {
    const rows = tinyRows(37, 1);
    const only = { name: "positive.jsonl", bytes: new TextEncoder().encode('{"sentence":"良い","label":"positive"}') };
    const data = { train: rows, validation: "validation" in files ? only : rows, test: null };
    const outcome = await new Desk(model, { data }).run(gpu, tinySft(stage));
    expect(outcome.error?.code).toBe(code);
  });
});
