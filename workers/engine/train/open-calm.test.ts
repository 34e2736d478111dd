/**
 * open-calm-small within WebGPU's default limits, by the plan's own accounting: a device that only counts stands under the
 * trainer itself. `npm run test:large` runs the same steps for real.
 */
import { describe, expect, it } from "vitest";
import { DEFAULT_LORA } from "../../../src/shared/protocol/defaults";
import { openDryGpu } from "../gpu/dry-device";
import { dispatchSeconds, INTEGRATED_GPU, splitSubmits, totalSeconds } from "../gpu/estimate";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { DEFAULT_LIMITS, OPEN_CALM_SMALL, OPTIMIZER } from "./open-calm";
import { Trainer, type TrainerOptions } from "./trainer";

const config = parseNeoxConfig(OPEN_CALM_SMALL);

/** What training needs: its buffers by the trainer's account and by the device's, and what a step submits. */
async function plan(options: TrainerOptions, model: NeoxConfig = config, cpu = false) {
  const dry = openDryGpu({
    limits: DEFAULT_LIMITS,
    features: ["shader-f16"],
    info: { vendor: "", architecture: "", device: "", description: cpu ? "llvmpipe" : "", isFallbackAdapter: cpu },
  });
  const trainer = await Trainer.create(dry.gpu, model, null, options);
  const largest = dry.live.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  const total = dry.live.reduce((sum, { bytes }) => sum + bytes, 0);
  const { memory, stepDispatches } = trainer;
  return { memory, total, largest, largestBinding: dry.largestBinding.bytes, step: stepDispatches };
}

const sizes = { optimizer: OPTIMIZER, max_tokens: 8 * 128, max_texts: 8 };
const language: TrainerOptions = { ...sizes, task: "causal-lm" };
const reward: TrainerOptions = { ...sizes, task: "reward", objective: "binary" };
const layers = { gradient_checkpointing: true };

describe("open-calm-small within the default limits, 8 x 128 tokens", () => {
  it.each<[string, TrainerOptions, number]>([
    ["LoRA of a language model", { ...language, lora: DEFAULT_LORA }, 900e6],
    ["LoRA of a reward model", { ...reward, lora: DEFAULT_LORA }, 900e6],
    ["LoRA with recomputation", { ...language, lora: DEFAULT_LORA, ...layers }, 550e6],
    ["full training with recomputation", { ...language, ...layers }, 3.2e9],
    ["a full reward model with recomputation", { ...reward, ...layers }, 3.2e9],
  ])("%s", async (_, options, most) => {
    const { memory, total, largest, largestBinding, step } = await plan(options);
    // The trainer's own account leaves out only what dispatches are made of.
    expect(total).toBeGreaterThanOrEqual(memory.bytes);
    expect(total).toBeLessThanOrEqual(memory.bytes + 1e6);
    expect(total).toBeLessThanOrEqual(most);
    expect(largest).toBeLessThanOrEqual(DEFAULT_LIMITS.maxBufferSize);
    expect(largestBinding).toBeLessThanOrEqual(DEFAULT_LIMITS.maxStorageBufferBindingSize);
    // No submit above half a second, and none that one dispatch alone would make long.
    const submits = splitSubmits(step, false);
    expect(submits.length).toBeGreaterThan(1);
    for (const one of submits) expect(totalSeconds(one, INTEGRATED_GPU)).toBeLessThanOrEqual(0.5);
    for (const one of step) expect(dispatchSeconds(one, INTEGRATED_GPU)).toBeLessThan(0.05);
  });

  it("reckons with one text as long as the stream", async () => {
    const { step } = await plan({ ...language, ...layers, max_texts: 1, max_tokens: 2047 });
    const attending = step.filter(({ flops, worstFlops }) => worstFlops > flops);
    // Forward, again in all layers but the last, and backward: half of all pairs of tokens, two products each at least.
    const forwards = 2 * config.num_hidden_layers - 1;
    const pairs = 2048 ** 2 / 2;
    const work = attending.reduce((sum, { worstFlops }) => sum + worstFlops, 0);
    expect(work).toBeGreaterThanOrEqual((forwards + 2 * config.num_hidden_layers) * 4 * pairs * config.hidden_size);
    for (const one of splitSubmits(step, false)) expect(totalSeconds(one, INTEGRATED_GPU)).toBeLessThanOrEqual(0.5);
  });

  it("keeps half precision only where nothing is trained", async () => {
    const f32 = await plan({ ...language, lora: DEFAULT_LORA, frozen_dtype: "f32" });
    const f16 = await plan({ ...language, lora: DEFAULT_LORA });
    const { weights: wide = 0 } = f32.memory.perBuffer;
    const { weights: half = 0 } = f16.memory.perBuffer;
    // 164 million frozen matrix elements of 4 or of 2 bytes, and adapters that are f32 alike.
    expect((wide - half) / 1e6).toBeGreaterThan(320);
    expect(f16.memory.perBuffer.gradients).toBe(f32.memory.perBuffer.gradients);
  });
});

describe("memory", () => {
  it("of activations grows with the length of a text, not with its square, up to 2,048 tokens", async () => {
    const lengths = [256, 512, 1024, 2048];
    const perToken: number[] = [];
    for (const length of lengths) {
      const options = { ...language, ...layers, lora: DEFAULT_LORA, max_tokens: length - 1, max_texts: 1 };
      const { memory } = await plan(options, { ...config, num_hidden_layers: 3 });
      perToken.push((memory.perBuffer.activations ?? Number.NaN) / length);
    }
    const [first = Number.NaN, ...others] = perToken;
    for (const one of others) expect(Math.abs(one / first - 1), perToken.join()).toBeLessThan(0.1);
  });
});

describe("a small model", () => {
  it.each([true, false])("is trained in one submit (software adapter: %s)", async (cpu) => {
    const h128x4 = { ...config, hidden_size: 128, num_hidden_layers: 4, num_attention_heads: 4, head_dim: 32 };
    const small = { ...h128x4, intermediate_size: 512, vocab_size: 4096, rotary_dim: 32, rotary_exponent_dim: 32 };
    const { step } = await plan({ ...language, max_tokens: 8 * 64 - 1 }, small, cpu);
    expect(splitSubmits(step, cpu).length).toBe(1);
  });
});
