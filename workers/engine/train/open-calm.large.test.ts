/**
 * open-calm-small for real: its shapes, random weights, WebGPU's default limits, forward, backward and AdamW. Minutes on a
 * software adapter: `npm run test:large` runs it, `npm test` does not. Its log is kept in docs/large-test.md.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEFAULT_LORA } from "../../../src/shared/protocol/defaults";
import { Random } from "../../../src/shared/stats/random";
import { type PackedBatch, packTexts } from "../data/batches";
import { openDawn } from "../gpu/dawn";
import { INTEGRATED_GPU, splitSubmits, totalSeconds } from "../gpu/estimate";
import type { Gpu } from "../gpu/gpu";
import { PIECE_ELEMENTS, type Tensors } from "../io/tensors";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { type HeadSpec, neoxParameterShapes } from "../model/shapes";
import { DEFAULT_LIMITS, OPEN_CALM_SMALL, OPTIMIZER } from "./open-calm";
import { Trainer, type TrainerOptions } from "./trainer";

const config = parseNeoxConfig(OPEN_CALM_SMALL);
const sizes = { optimizer: OPTIMIZER, max_tokens: 8 * 128, max_texts: 8 };
const language: TrainerOptions = { ...sizes, task: "causal-lm" };

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn(undefined, { limits: "default" });
});
afterAll(() => gpu.destroy());

const mega = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
const log = (line: string) => process.stdout.write(`| ${line}\n`);

/** Uniform numbers of standard deviation `std` in pieces, by xorshift32: nothing holds more than one piece. */
function* uniformPieces(length: number, std: number, seed: number): Generator<Float32Array> {
  let state = Math.imul(seed + 1, 0x9e37_79b1) | 1;
  const scale = (std * Math.sqrt(12)) / 2 ** 32;
  for (let done = 0; done < length; done += PIECE_ELEMENTS) {
    const piece = new Float32Array(Math.min(PIECE_ELEMENTS, length - done));
    for (let i = 0; i < piece.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      piece[i] = state * scale;
    }
    yield piece;
  }
}

/** Fresh weights as transformers draws them (uniform instead of normal), made while they are uploaded. */
function weights(model: NeoxConfig, head: HeadSpec): Tensors {
  const entries = [...neoxParameterShapes(model, head)].map(([name, shape], index) => {
    const length = shape.reduce((product, size) => product * size, 1);
    const constant = name.endsWith(".bias") ? 0 : name.endsWith("norm.weight") ? 1 : undefined;
    async function* pieces() {
      if (constant === undefined) yield* uniformPieces(length, model.initializer_range, index);
      else yield new Float32Array(length).fill(constant);
    }
    return [name, { length, pieces }] as const;
  });
  return new Map(entries);
}

function batch(texts: number, length: number, vocabulary: number): PackedBatch {
  const random = Random.seeded(17);
  const ids = Array.from({ length: texts }, () => Array.from({ length }, () => random.below(vocabulary)));
  return packTexts(ids, { targets: true, labels: ids.map((_, index) => index % 2) });
}

/** The largest amount of memory in typed arrays, looked at now and then. */
class Watch {
  #most = 0;
  readonly #timer = setInterval(() => this.look(), 50);
  look(): number {
    this.#most = Math.max(this.#most, process.memoryUsage().arrayBuffers);
    return this.#most;
  }
  end(): number {
    clearInterval(this.#timer);
    return this.look();
  }
}

/** One step, and the loss of the same batch before and after it. */
async function trainOnce(name: string, model: NeoxConfig, options: TrainerOptions, data: PackedBatch) {
  const watch = new Watch();
  const before = gpu.snapshot().bytes;
  const head: HeadSpec = options.task === "reward" ? { kind: "reward", num_labels: 1 } : { kind: "causal-lm" };
  let clock = performance.now();
  const seconds = () => {
    const passed = (performance.now() - clock) / 1000;
    clock = performance.now();
    return `${passed.toFixed(0)} s`;
  };
  const trainer = await Trainer.create(gpu, model, weights(model, head), options);
  try {
    const created = seconds();
    const first = await trainer.step([data], 1e-3);
    const stepped = seconds();
    const { loss: after = Number.NaN } = await trainer.forward(data);
    const evaluated = seconds();
    const all = gpu.snapshot().bytes - before;
    const { bytes, perBuffer } = trainer.memory;
    const parts = Object.entries(perBuffer).map(([what, size]) => `${what} ${mega(size)}`);
    const dispatches = trainer.stepDispatches;
    const submits = splitSubmits(dispatches, false).map((list) => totalSeconds(list, INTEGRATED_GPU));
    const arrays = watch.end();
    log(`${name}`);
    log(`  GPU buffers ${mega(bytes)} (${parts.join(", ")}), with uniforms and staging ${mega(all)}`);
    log(`  JavaScript's typed arrays at most ${mega(arrays)}`);
    log(
      `  loss ${first.loss.toFixed(4)}, after the step ${after.toFixed(4)}; gradient norm ${first.grad_norm.toFixed(4)}`,
    );
    log(
      `  a step: ${dispatches.length} dispatches, ${(dispatches.reduce((sum, { flops }) => sum + flops, 0) / 1e9).toFixed(0)} GFLOP; ` +
        `at 1 TFLOP/s and 60 GB/s about ${totalSeconds(dispatches, INTEGRATED_GPU).toFixed(2)} s in ${submits.length} submits of at most ${Math.max(...submits).toFixed(2)} s`,
    );
    log(`  here: weights ${created}, step ${stepped}, forward ${evaluated}`);
    expect(Math.max(...submits)).toBeLessThanOrEqual(0.5);
    expect(first.grad_norm).toBeGreaterThan(0);
    // A step in the direction of its own gradient.
    expect(after).toBeLessThan(first.loss);
    return { loss: first.loss, grad_norm: first.grad_norm, after, bytes, all, arrays, perBuffer };
  } finally {
    watch.end();
    trainer.destroy();
  }
}

it("asks for no more than WebGPU grants everywhere", () => {
  log(`${gpu.adapterName}, default limits`);
  for (const name of ["maxBufferSize", "maxStorageBufferBindingSize"] as const)
    expect(gpu.limits[name]).toBe(DEFAULT_LIMITS[name]);
});

describe("open-calm-small, 8 x 128 tokens", () => {
  const data = batch(8, 128, config.vocab_size);

  it("learns as a language model: LoRA over a base in f16, at most 900 MB", async () => {
    expect(gpu.capabilities.f16).toBe(true);
    const run = await trainOnce(
      "LoRA of a language model, f16 base",
      config,
      { ...language, lora: DEFAULT_LORA },
      data,
    );
    expect(run.bytes).toBeLessThanOrEqual(900e6);
    expect(run.all).toBeLessThanOrEqual(900e6);
    expect(run.arrays).toBeLessThanOrEqual(300e6);
    // Fresh weights know nothing: the loss is that of a guess among all tokens.
    expect(Math.abs(run.loss - Math.log(config.vocab_size))).toBeLessThan(0.3);
  });

  it("learns as a reward model: LoRA over a base in f16, at most 900 MB", async () => {
    const options: TrainerOptions = { ...sizes, task: "reward", objective: "binary", lora: DEFAULT_LORA };
    const run = await trainOnce("LoRA of a reward model, f16 base", config, options, data);
    expect(run.bytes).toBeLessThanOrEqual(900e6);
    expect(run.all).toBeLessThanOrEqual(900e6);
    expect(Math.abs(run.loss - Math.LN2)).toBeLessThan(0.5);
  });

  it("learns with all its parameters and recomputation, at most 3.2 GB", async () => {
    const options = { ...language, gradient_checkpointing: true };
    const run = await trainOnce("All parameters, gradient_checkpointing", config, options, data);
    expect(run.bytes).toBeLessThanOrEqual(3.2e9);
    expect(run.all).toBeLessThanOrEqual(3.2e9);
    expect(run.arrays).toBeLessThanOrEqual(300e6);
    expect(Math.abs(run.loss - Math.log(config.vocab_size))).toBeLessThan(0.3);
  });
});

describe("a text of 2,048 tokens", () => {
  it("is trained on in memory that grows with its length, with and without recomputation", async () => {
    const small = parseNeoxConfig({
      ...OPEN_CALM_SMALL,
      vocab_size: 2048,
      hidden_size: 64,
      num_hidden_layers: 3,
      num_attention_heads: 1,
      intermediate_size: 256,
    });
    const run = (length: number, gradient_checkpointing: boolean) => {
      const options = { ...language, max_tokens: length - 1, max_texts: 1, gradient_checkpointing };
      const name = `hidden 64 x 3 layers, one text of ${length - 1} tokens${gradient_checkpointing ? ", gradient_checkpointing" : ""}`;
      return trainOnce(name, small, options, batch(1, length - 1, small.vocab_size));
    };
    const short = await run(512, false);
    const long = await run(2048, false);
    const again = await run(2048, true);
    expect({ ...again, perBuffer: {}, bytes: 0, all: 0, arrays: 0 }).toEqual({
      ...long,
      perBuffer: {},
      bytes: 0,
      all: 0,
      arrays: 0,
    });
    const { activations: few = Number.NaN } = short.perBuffer;
    const { activations: many = Number.NaN } = long.perBuffer;
    expect(many / few).toBeLessThan(4.2);
    expect(again.perBuffer.activations).toBeLessThan(many);
  });
});
