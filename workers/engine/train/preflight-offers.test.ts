import { describe, expect, it } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import { type RewardStageConfig, type StageConfig, stageConfig } from "../../../src/shared/protocol/config";
import {
  DEFAULT_LORA,
  DEFAULT_MERGE_STAGE,
  DEFAULT_PPO_STAGE,
  DEFAULT_REWARD_STAGE,
  TEMPLATES,
} from "../../../src/shared/protocol/defaults";
import type { AdapterProfile } from "../gpu/device";
import { MapSource } from "../io/source";
import { parseNeoxConfig } from "../model/neox-config";
import { countParameters, neoxParameterShapes } from "../model/shapes";
import { DEFAULT_LIMITS, OPEN_CALM_SMALL } from "./open-calm";
import { type MachineFacts, preflightStage } from "./preflight";
import { preflightWithOffers } from "./preflight-offers";
import { plannedShapes, type StageShapes } from "./stage-shapes";

/** cyberagent/open-calm-small with two of its twelve layers: a preflight of all takes that much longer. */
const CONFIG = { ...OPEN_CALM_SMALL, num_hidden_layers: 2, torch_dtype: "float16" };
const MODEL = new MapSource("small", new Map([["config.json", new TextEncoder().encode(JSON.stringify(CONFIG))]]));
const SOURCES = {
  model: () => Promise.resolve({ model: MODEL, adapter: null }),
  reward: () => Promise.reject(new NagiError("internal", "no artefact is named")),
};
const RUN = TEMPLATES["positive-reviews"];

/** What WebGPU grants everywhere, on an adapter that has f16. */
const PROFILE: AdapterProfile = {
  limits: DEFAULT_LIMITS,
  features: ["shader-f16"],
  info: { vendor: "test", architecture: "", device: "", description: "", isFallbackAdapter: false },
};
const MACHINE: MachineFacts = { profile: PROFILE, memory: null, storage_free: null, measured: null };

const shapesOf = (stage: StageConfig): Promise<StageShapes> => plannedShapes(RUN, stage, SOURCES);
const PARAMETERS = countParameters(neoxParameterShapes(parseNeoxConfig(CONFIG), { kind: "causal-lm" }));
/** Without the output matrix, with a score of one row. */
const REWARD_PARAMETERS = PARAMETERS - 52_096 * 768 + 768;

describe("the preflight of a stage", () => {
  it("knows weights, gradients, moments, disk and model from the config alone", async () => {
    const shapes = await shapesOf(DEFAULT_REWARD_STAGE);
    const result = await preflightStage({ stage: DEFAULT_REWARD_STAGE, shapes, seed: 0 }, MACHINE);
    const part = (name: string) => result.parts.find((one) => one.part === name)?.bytes ?? 0;
    expect(result.fits).toBe(true);
    expect(result.parameters).toBe(REWARD_PARAMETERS);
    expect(result.trainable_parameters).toBe(REWARD_PARAMETERS);
    expect(result.model_bytes).toBe(2 * PARAMETERS);
    expect(result.output_bytes).toBe(4 * REWARD_PARAMETERS);
    // Padded to 256 bytes a tensor; AdamW has scalars and partial sums of the norm besides.
    for (const [name, copies] of [
      ["weights", 1],
      ["gradients", 1],
      ["optimizer", 2],
    ] as const) {
      expect(part(name) / (4 * copies * REWARD_PARAMETERS)).toBeGreaterThanOrEqual(1);
      expect(part(name) / (4 * copies * REWARD_PARAMETERS)).toBeLessThan(1.002);
    }
    expect(result.total_bytes).toBe(result.buffers.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(result.total_bytes).toBe(result.parts.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(new Set(result.buffers.map(({ label }) => label)).size).toBe(result.buffers.length);
    expect(result.largest_binding.bytes).toBeLessThanOrEqual(PROFILE.limits.maxStorageBufferBindingSize);
    expect(result.largest_buffer.bytes).toBeLessThanOrEqual(PROFILE.limits.maxBufferSize);
    expect(result.checkpoint?.bytes).toBeGreaterThan(12 * REWARD_PARAMETERS);
    // A step of 2,048 tokens: about 6 FLOPs a token and parameter of the matrices, twice for two micro-batches.
    const products = 6 * 2 * 2048 * (REWARD_PARAMETERS - 52_096 * 768);
    expect(result.step?.flops).toBeGreaterThan(products);
    expect(result.step?.flops).toBeLessThan(1.5 * products);
    expect(result.step?.milliseconds).toBeNull();
  });

  it("reckons the time of a step from what was measured", async () => {
    const shapes = await shapesOf(DEFAULT_REWARD_STAGE);
    const measured = { flops: 1e9, milliseconds: 10, at: 1234 };
    const { step } = await preflightStage({ stage: DEFAULT_REWARD_STAGE, shapes, seed: 0 }, { ...MACHINE, measured });
    expect(step?.measured_at).toBe(1234);
    expect(step?.milliseconds).toBeCloseTo(((step?.flops ?? Number.NaN) / 1e9) * 10, 6);
  });
});

/** Asked again with an offer's changes, nothing is in the way, and the figure is the one that was promised. */
async function expectHonest(stage: StageConfig, machine: MachineFacts): Promise<string[]> {
  const shapes = await shapesOf(stage);
  const result = await preflightWithOffers({ stage, shapes, seed: 0 }, machine);
  expect(result.problems.length).toBeGreaterThan(0);
  for (const { changes, total_bytes } of result.offers) {
    const changed = stageConfig.parse({ ...stage, ...changes });
    const again = await preflightStage({ stage: changed, shapes: await shapesOf(changed), seed: 0 }, machine);
    expect(again.problems).toEqual([]);
    expect(again.total_bytes).toBe(total_bytes);
  }
  return result.offers.map(({ code }) => code);
}

describe("offers", () => {
  it("of a stage that fits there are none", async () => {
    const shapes = await shapesOf(DEFAULT_REWARD_STAGE);
    const { fits, offers } = await preflightWithOffers({ stage: DEFAULT_REWARD_STAGE, shapes, seed: 0 }, MACHINE);
    expect([fits, offers]).toEqual([true, []]);
  });

  it("where the disk is short, an adapter", async () => {
    expect(await expectHonest(DEFAULT_REWARD_STAGE, { ...MACHINE, storage_free: 1e9 })).toEqual(["lora"]);
  });

  const totalWith = async (changes: Partial<RewardStageConfig>): Promise<number> => {
    const stage = { ...DEFAULT_REWARD_STAGE, ...changes };
    return (await preflightStage({ stage, shapes: await shapesOf(stage), seed: 0 }, MACHINE)).total_bytes;
  };
  const memory = (bytes: number): MachineFacts => ({ ...MACHINE, memory: { bytes, source: "system" } });

  it("where memory is short by a little, whatever makes something smaller", async () => {
    const codes = await expectHonest(DEFAULT_REWARD_STAGE, memory((await totalWith({})) - 1));
    expect(codes).toEqual(["gradient_checkpointing", "smaller_batch", "shorter_context", "lora"]);
  });

  it("where no single change is enough, several", async () => {
    const one = await totalWith({ peft: DEFAULT_LORA });
    const several = await totalWith({ peft: DEFAULT_LORA, gradient_checkpointing: true });
    expect(several).toBeLessThan(one);
    expect(await expectHonest(DEFAULT_REWARD_STAGE, memory((one + several) / 2))).toEqual(["lora_and_checkpointing"]);
    const most = await totalWith({ peft: DEFAULT_LORA, gradient_checkpointing: true, per_device_train_batch_size: 1 });
    expect(await expectHonest(DEFAULT_REWARD_STAGE, memory((several + most) / 2))).toEqual(["all"]);
  });

  it("where nothing is enough, none", async () => {
    expect(await expectHonest(DEFAULT_MERGE_STAGE, { ...MACHINE, memory: { bytes: 1e8, source: "system" } })).toEqual(
      [],
    );
  });

  it("of a rollout whose cache is larger than a binding, a smaller one; it says what is too large", async () => {
    const stage = { ...DEFAULT_PPO_STAGE, rollout_batch_size: 256, response_length: 256, model: "merge" };
    const shapes = await shapesOf(stage);
    const { fits, problems, total_bytes } = await preflightStage({ stage, shapes, seed: 0 }, MACHINE);
    expect(fits).toBe(false);
    const cache = 4 * 256 * (256 + 5) * 768;
    expect(problems[0]).toMatchObject({ kind: "limit", needed: cache, granted: 134_217_728, refuses: true });
    // Said as if that limit were not there.
    expect(total_bytes).toBeGreaterThan(4 * cache);
    expect(await expectHonest(stage, MACHINE)).toEqual(["fewer_texts", "shorter_texts"]);
  });

  it("an estimate of memory warns and does not refuse", async () => {
    const shapes = await shapesOf(DEFAULT_REWARD_STAGE);
    const machine = { ...MACHINE, memory: { bytes: 1e9, source: "device_memory" } } as const;
    const result = await preflightWithOffers({ stage: DEFAULT_REWARD_STAGE, shapes, seed: 0 }, machine);
    expect(result.fits).toBe(true);
    expect(result.problems.map(({ kind, refuses }) => [kind, refuses])).toEqual([["memory", false]]);
    expect(result.offers.length).toBeGreaterThan(0);
  });
});

describe("planned shapes", () => {
  it("of stages that have not run: merged output matrices stand alone, adapters stand beside", async () => {
    const tied = { ...CONFIG, tie_word_embeddings: true };
    const files = new Map([["config.json", new TextEncoder().encode(JSON.stringify(tied))]]);
    const sources = { ...SOURCES, model: async () => ({ model: new MapSource("tied", files), adapter: null }) };
    const stages = RUN.stages.map((stage) =>
      stage.stage === "sft" ? { ...stage, peft: { ...DEFAULT_LORA, target_modules: ["embed_out" as const] } } : stage,
    );
    const run = { ...RUN, stages };
    const of = async (id: string) => {
      const stage = stages.find((one) => one.id === id);
      if (!stage) throw new Error(id);
      return plannedShapes(run, stage, sources);
    };
    expect((await of("sft")).model).toMatchObject({ lora: null, config: { tie_word_embeddings: true } });
    expect((await of("merge")).model).toMatchObject({ lora: { target_modules: ["embed_out"] } });
    const ppo = await of("ppo");
    expect(ppo.model).toMatchObject({ lora: null, config: { tie_word_embeddings: false } });
    expect(ppo.reward_models).toMatchObject([{ objective: "binary", max_length: 256 }]);
    const evaluate = await of("evaluate");
    expect(evaluate.models.map(({ lora }) => lora !== null)).toEqual([false, true]);
    expect(evaluate.reward_models.length).toBe(2);
  });
});
