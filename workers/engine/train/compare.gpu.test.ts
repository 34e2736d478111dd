/** The stages that make nothing learn, on a real device: an adapter is merged, models are compared, rewards judge. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generation } from "../../../src/shared/protocol/artefact";
import { DEFAULT_EVALUATE_STAGE, DEFAULT_LORA, DEFAULT_MERGE_STAGE } from "../../../src/shared/protocol/defaults";
import { runEvent } from "../../../src/shared/protocol/events";
import { packTexts } from "../data/batches";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { MapSource } from "../io/source";
import { loadWeights } from "./base";
import { languageModelFiles } from "./output";
import { RewardScorer } from "./scorer";
import { Desk, tinyConfig, tinyData, tinyModel, tinyRun, tinySft } from "./tiny";
import { Trainer } from "./trainer";

const bundled = (path: string) =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../public/${path}`, import.meta.url))));
const tokenizerFiles = new Map(
  ["tokenizer.json", "tokenizer_config.json"].map((file) => [file, bundled(`models/nagi-base/${file}`)]),
);
const model = await tinyModel(tokenizerFiles);
const made = (desk: Desk): MapSource => new MapSource("made", desk.artefacts[0]?.files ?? new Map());

let gpu: Gpu;
let adapter: MapSource;
let merged: MapSource;
let reward: MapSource;
let merge: Desk;

beforeAll(async () => {
  gpu = await openDawn();
  const sft = new Desk(model);
  await sft.run(gpu, tinySft({ peft: { ...DEFAULT_LORA, r: 4 }, learning_rate: 2e-2, sample_texts: 0 }));
  adapter = made(sft);
  merge = new Desk(model, { adapter });
  await merge.run(gpu, tinyRun(DEFAULT_MERGE_STAGE));
  merged = made(merge);
  const judge = new Desk(model);
  await judge.run(gpu, tinyConfig({ max_steps: 6, peft: { ...DEFAULT_LORA, r: 4 } }));
  reward = made(judge);
});
afterAll(() => gpu.destroy());

describe("merge", () => {
  it("stores a model whose logits are those of the adapter beside its base", () => {
    expect(merge.states).toEqual(["preparing", "running", "finished"]);
    for (const [seq, event] of merge.events.entries()) runEvent.parse({ ...event, run_id: "r", seq, time: 0 });
    expect(merge.artefacts[0]?.kind).toBe("model");
    const [result] = merge.of("result");
    const { logits_max_deviation, adapter_max_effect, texts } = result?.metrics ?? {};
    expect(texts).toBe(12);
    // The adapter does something, and what it does is kept.
    expect(adapter_max_effect).toBeGreaterThan(1e-2);
    expect(logits_max_deviation).toBeLessThan(1e-4);
  });

  it("keeps the type of the base", async () => {
    const half = new MapSource("half", await asHalf(model));
    const desk = new Desk(half, { adapter });
    const outcome = await desk.run(gpu, tinyRun(DEFAULT_MERGE_STAGE));
    expect(outcome.error).toBeNull();
    const config = JSON.parse(new TextDecoder().decode(desk.artefacts[0]?.files.get("config.json")));
    expect(config.dtype).toBe("float16");
    const { logits_max_deviation, adapter_max_effect } = outcome.metrics;
    expect(logits_max_deviation).toBeLessThan(0.1 * (adapter_max_effect ?? 0));
  });
});

describe("evaluate", () => {
  const stage = {
    ...DEFAULT_EVALUATE_STAGE,
    models: ["base", "sft", "merge"],
    reward_models: ["reward"],
    num_prompts: 6,
    prompt: { unit: "tokens", length: 2 },
    generation: { max_new_tokens: 9, temperature: 1, top_k: 0, top_p: 1 },
  } as const;
  const input = () => ({
    models: [
      { name: "base", model, adapter: null },
      { name: "sft", model, adapter },
      { name: "merge", model: merged, adapter: null },
    ],
    reward_models: [reward],
  });

  it("writes with every model, measures KL to the first and judges", async () => {
    const desk = new Desk(model, input());
    const outcome = await desk.run(gpu, tinyRun({ ...stage, models: [...stage.models], reward_models: ["reward"] }));
    expect(outcome).toMatchObject({ state: "finished", error: null, step: 18, total_steps: 18 });
    for (const [seq, event] of desk.events.entries()) runEvent.parse({ ...event, run_id: "r", seq, time: 0 });
    const [artefact] = desk.artefacts;
    expect(artefact?.kind).toBe("generations");
    const text = new TextDecoder().decode(artefact?.files.get("generations.jsonl"));
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => generation.parse(JSON.parse(line)));
    expect(lines.map(({ item, model: name }) => `${name} ${item}`)).toEqual(
      stage.models.flatMap((name) => [0, 1, 2, 3, 4, 5].map((item) => `${name} ${item}`)),
    );
    const of = (name: string) => lines.filter((line) => line.model === name);
    for (const line of of("base")) expect(line.kl).toBe(0);
    // Merged and beside its base, the adapter writes the same texts and is as far from the base.
    for (const [index, line] of of("merge").entries()) {
      const beside = of("sft")[index];
      expect(line.text).toBe(beside?.text);
      expect(Math.abs((line.kl ?? Number.NaN) - (beside?.kl ?? Number.NaN))).toBeLessThanOrEqual(1e-3);
    }
    expect(outcome.metrics["sft/kl_nats"]).toBeGreaterThan(0.01);
    expect(outcome.metrics.kl_nats).toBe(outcome.metrics["merge/kl_nats"]);
    expect(outcome.metrics.prompts).toBe(6);
    const scorer = await RewardScorer.load({ gpu, model: reward });
    const scores = await scorer.score(of("sft").map(({ prompt, text: written }) => prompt + written));
    scorer.destroy();
    for (const [index, { reward: value }] of scores.entries())
      expect(Math.abs((of("sft")[index]?.rewards.reward ?? Number.NaN) - value)).toBeLessThanOrEqual(1e-4);
  });

  it("has the KL of the logits themselves", async () => {
    const models = ["base", "merge"];
    const two = { models: [input().models[0], input().models[2]].flatMap((one) => one ?? []), reward_models: [] };
    const greedy = new Desk(model, two);
    await greedy.run(
      gpu,
      tinyRun({ ...stage, models, reward_models: [], generation: { ...stage.generation, temperature: 0 } }),
    );
    const text = new TextDecoder().decode(greedy.artefacts[0]?.files.get("generations.jsonl"));
    const line = generation.parse(JSON.parse(text.trimEnd().split("\n").at(-1) ?? ""));
    const sums = await Promise.all(
      [model, merged].map(async (source) => {
        const base = await loadWeights(source, { kind: "causal-lm" });
        const prompt = base.tokenizer.encode(line.prompt);
        const written = base.tokenizer.encode(line.text);
        const trainer = await Trainer.create(gpu, base.config, base.tensors, {
          task: "causal-lm",
          optimizer: { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, max_grad_norm: 0 },
          max_tokens: 64,
          max_texts: 1,
          frozen: true,
        });
        const ids = [...prompt, ...written];
        const { logits } = await trainer.forward(packTexts([ids], { targets: true }), { logits: true });
        trainer.destroy();
        const V = base.config.vocab_size;
        let sum = 0;
        for (let token = prompt.length; token < ids.length; token++) {
          const row = Array.from(logits?.subarray((token - 1) * V, token * V) ?? []);
          const most = row.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
          const total = row.reduce((all, value) => all + Math.exp(value - most), 0);
          sum += (row[ids[token] ?? 0] ?? Number.NaN) - most - Math.log(total);
        }
        return { sum, tokens: written.length };
      }),
    );
    const [first, own] = sums;
    // The text must be the tokens that were written: else there is nothing to compare.
    expect(own?.tokens).toBe(line.tokens);
    const expected = (own?.sum ?? Number.NaN) - (first?.sum ?? Number.NaN);
    expect(Math.abs((line.kl ?? Number.NaN) - expected)).toBeLessThanOrEqual(1e-3);
  });

  it("says what is missing", async () => {
    const desk = new Desk(model, { ...input(), data: { ...tinyData, test: null } });
    const outcome = await desk.run(gpu, tinyRun({ ...stage, models: [...stage.models], reward_models: [] }));
    expect(outcome.error?.code).toBe("data.empty");
  });
});

/** The same model stored in float16. */
async function asHalf(source: MapSource): Promise<Map<string, Uint8Array>> {
  const base = await loadWeights(source, { kind: "causal-lm" });
  return languageModelFiles(base, base.tensors, { kind: "model", change: "Stored in float16." }, "F16");
}
