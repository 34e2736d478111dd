/**
 * What the preflight says is what the engine has: everything a stage creates is created on a real device as well, and the
 * buffers are the same, one by one. Then whole stages run: what they tell of their memory is what was foretold.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import type { RunConfig, StageConfig } from "../../../src/shared/protocol/config";
import {
  DEFAULT_DPO_STAGE,
  DEFAULT_EVALUATE_STAGE,
  DEFAULT_LORA,
  DEFAULT_MERGE_STAGE,
  DEFAULT_PPO_STAGE,
  DEFAULT_REWARD_STAGE,
  DEFAULT_SFT_STAGE,
} from "../../../src/shared/protocol/defaults";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import type { MapSource } from "../io/source";
import { Generator } from "./generator";
import { countMoment, countStage } from "./preflight";
import { needsOf } from "./stage-needs";
import { type ModelShape, readShape, type StageShapes } from "./stage-shapes";
import { Desk, tinyModel, tinyRun } from "./tiny";
import { Trainer } from "./trainer";

const bundled = (path: string) =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../public/models/nagi-base/${path}`, import.meta.url))));
const tokenizerFiles = new Map(["tokenizer.json", "tokenizer_config.json"].map((file) => [file, bundled(file)]));

let gpu: Gpu;
let tiny: MapSource;
let shape: ModelShape;
beforeAll(async () => {
  gpu = await openDawn();
  tiny = await tinyModel(tokenizerFiles);
  shape = await readShape(tiny, null);
});
afterAll(() => gpu.destroy());

const short = { max_length: 8, per_device_train_batch_size: 4 } as const;
const prompt = { unit: "tokens", length: 4 } as const;
const generation = { ...DEFAULT_EVALUATE_STAGE.generation, max_new_tokens: 8 };
const STAGES: Readonly<Record<string, StageConfig>> = {
  "reward, full": { ...DEFAULT_REWARD_STAGE, ...short },
  "reward in pairs, LoRA": { ...DEFAULT_REWARD_STAGE, ...short, objective: "pairwise", peft: DEFAULT_LORA },
  "sft, full": { ...DEFAULT_SFT_STAGE, ...short, peft: null, prompt },
  "sft, LoRA with dropout": { ...DEFAULT_SFT_STAGE, ...short, peft: { ...DEFAULT_LORA, lora_dropout: 0.1 }, prompt },
  dpo: { ...DEFAULT_DPO_STAGE, ...short, prompt },
  ppo: { ...DEFAULT_PPO_STAGE, prompt, rollout_batch_size: 6, response_length: 6 },
  merge: DEFAULT_MERGE_STAGE,
  evaluate: {
    ...DEFAULT_EVALUATE_STAGE,
    models: ["base", "tuned"],
    reward_models: ["judge"],
    num_prompts: 6,
    prompt,
    generation,
  },
};

/** The stage's models: of the tiny shape, an adapter where the slot has one. */
function shapesOf(stage: StageConfig): StageShapes {
  const tuned = { ...shape, lora: DEFAULT_LORA };
  const judge = { config: shape.config, objective: "binary", max_length: 16 } as const;
  return {
    model: stage.stage === "merge" ? tuned : shape,
    models: stage.stage === "evaluate" ? [shape, tuned] : [],
    reward_models: stage.stage === "ppo" || stage.stage === "evaluate" ? [judge] : [],
  };
}

describe.each(Object.entries(STAGES))("%s", (_, stage) => {
  it("needs on the device what was counted without one", async () => {
    for (const moment of needsOf(stage, shapesOf(stage), 0)) {
      const counted = await countMoment(moment, gpu.adapter);
      const before = gpu.snapshot().bytes;
      const made: (Trainer | Generator)[] = [];
      let trainer: Trainer | undefined;
      for (const need of moment) {
        if (need.kind === "generator") {
          if (!trainer) throw new Error("a generator has a trainer");
          made.push(await Generator.create(gpu, need.config, trainer.store, need.options));
          continue;
        }
        const one = await Trainer.create(gpu, need.config, null, need.options);
        if (need.kind === "trainer") trainer = one;
        made.push(one);
      }
      const bytes = made.map((one) => (one instanceof Trainer ? one.memory.bytes : one.bytes));
      expect(counted.needs.map((need) => need.bytes)).toEqual(bytes);
      // Params lie in pages that the device shares among all it has ever prepared.
      const own = counted.buffers.filter(({ label }) => !label.startsWith("uniforms"));
      const real = gpu.snapshot().bytes - before;
      const pages = real - own.reduce((sum, buffer) => sum + buffer.bytes, 0);
      expect(pages % 262_144).toBe(0);
      expect(bytes.reduce((sum, one) => sum + one, 0)).toBe(real - pages);
      for (const one of made.reverse()) one.destroy();
    }
  });
});

/** Runs a stage up to where it would take its first step. */
async function prepared(stage: StageConfig, desk: Desk): Promise<number> {
  const run: RunConfig = tinyRun(stage);
  desk.wanted = "stop";
  const outcome = await desk.run(gpu, run);
  expect(outcome.error).toBeNull();
  const [event] = desk.of("prepared");
  return event?.gpu_bytes ?? Number.NaN;
}

describe("a stage at work", () => {
  // Longer texts than max_length: the largest micro-batch is the one that the settings allow.
  it.each([
    ["reward, full", 0],
    ["sft, full", 0],
    // Before it says so it has asked the reference about its pairs: the inputs of one more plan.
    ["dpo", 4096],
  ])("%s tells of the memory that was foretold", async (name, more) => {
    const stage = STAGES[name];
    if (!stage) throw new Error(name);
    const told = await prepared(stage, new Desk(tiny));
    const { moments } = await countStage({ stage, shapes: shapesOf(stage), seed: 5 }, gpu.adapter);
    const foretold = moments[0]?.needs[0]?.bytes ?? Number.NaN;
    expect(told).toBeGreaterThanOrEqual(foretold);
    expect(told).toBeLessThanOrEqual(foretold + more);
  });

  it("does not begin where it does not fit, and leaves no buffer behind", async () => {
    const small = await openDawn(undefined, { largestBinding: 4096 });
    try {
      const desk = new Desk(tiny);
      const stage = { ...DEFAULT_REWARD_STAGE, per_device_train_batch_size: 64 };
      const { error } = await desk.run(small, tinyRun(stage));
      expect(error?.code).toBe("gpu.limit");
      expect(Number(error?.details.needed)).toBeGreaterThan(4096);
      expect(error?.details.granted).toBe(4096);
      expect(small.snapshot().buffers).toBe(0);
      expect(desk.states).toEqual(["preparing", "failed"]);
    } finally {
      small.destroy();
    }
  });

  it("does not begin where its checkpoints would not fit", async () => {
    const storage = {
      saveCheckpoint: () => Promise.reject(new NagiError("internal", "nothing was to be saved")),
      loadCheckpoint: () => Promise.resolve(null),
      free: () => Promise.resolve(100_000),
    };
    const desk = new Desk(tiny, { storage });
    const { error } = await desk.run(gpu, tinyRun({ ...DEFAULT_REWARD_STAGE, ...short }));
    expect(error?.code).toBe("storage.quota");
    // Two that are kept and one that is being written; three f32 of each parameter.
    const parameters = 16 * 8192 + 2 * (3 * 16 * 16 + 16 * 16 + 2 * 16 * 32);
    expect(Number(error?.details.needed)).toBeGreaterThan(3 * 3 * 4 * parameters);
  });
});
