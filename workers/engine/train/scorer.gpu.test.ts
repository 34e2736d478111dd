/** What a finished run leaves: rewards of any text, and a model that other programs load. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rewardStageOf } from "../../../src/shared/protocol/config";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { decodeCheckpoint } from "../io/checkpoint";
import { openCheckpoint } from "../io/hf-model";
import { MapSource } from "../io/source";
import { wholeTensors } from "../io/tensors";
import { exportRewardModel } from "./export";
import { RewardScorer } from "./scorer";
import { Desk, tinyConfig, tinyModel } from "./tiny";

const bundled = (path: string) =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../public/${path}`, import.meta.url))));
const model = await tinyModel(
  new Map(["tokenizer.json", "tokenizer_config.json"].map((file) => [file, bundled(`models/nagi-base/${file}`)])),
);

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

describe.each(["binary", "cross-entropy", "pairwise"] as const)("%s", (objective) => {
  it("scores the validation rows as the run did, and exports what it trained", async () => {
    const desk = new Desk(model);
    const config = tinyConfig({ objective, max_steps: 8 });
    const stage = rewardStageOf(config);
    if (!stage) throw new Error("no reward stage");
    await desk.run(gpu, config);
    const checkpoint = desk.saved.at(-1)?.bytes ?? new Uint8Array();
    const [result] = desk.of("result");
    if (!result) throw new Error("no result");

    const before = gpu.snapshot().bytes;
    const scorer = await RewardScorer.open({ config, stage, gpu, model, adapter: null, checkpoint });
    const scores = await scorer.score(result.samples.map(({ sentence }) => sentence));
    scores.forEach(({ reward, probability, truncated }, index) => {
      const expected = result.samples[index]?.reward ?? Number.NaN;
      expect(Math.abs(reward - expected)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(expected)));
      const threshold = result.metrics.eval_threshold ?? 0;
      expect(probability).toBeCloseTo(1 / (1 + Math.exp(threshold - reward)), 9);
      expect(truncated).toBe(false);
    });
    const [long, empty] = await scorer.score(["とても長い文。".repeat(50), ""]);
    expect(long).toMatchObject({ tokens: 32, truncated: true });
    expect(empty).toMatchObject({ tokens: 1, truncated: false });
    expect(Number.isFinite(empty?.reward)).toBe(true);
    scorer.destroy();
    expect(gpu.snapshot().bytes - before).toBeLessThan(100_000);

    const files = await exportRewardModel({ config, stage, model, adapter: null, checkpoint });
    expect([...files.keys()].sort()).toEqual([
      "README.md",
      "config.json",
      "model.safetensors",
      "nagi_credit.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const exported = await openCheckpoint(new MapSource("exported", files));
    const { weights } = await decodeCheckpoint(checkpoint, "x");
    expect(await wholeTensors(exported.tensors)).toEqual(new Map([...weights]));
    expect(exported.configJson).toMatchObject({
      architectures: ["GPTNeoXForSequenceClassification"],
      id2label: objective === "cross-entropy" ? { 0: "negative", 1: "positive" } : { 0: "reward" },
      pad_token_id: 1,
    });
  });
});
