/** AdamW and clipping over several shards against torch's algorithm in float64. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { ParameterStore } from "../model/params";
import { AdamW, type AdamWOptions } from "./adamw";

const SPECS = [
  { name: "a", shape: [37, 11], trainable: true },
  { name: "frozen", shape: [5, 5], trainable: false },
  { name: "b", shape: [2001], trainable: true },
  { name: "c", shape: [3], trainable: true },
];
const TRAINED = SPECS.filter(({ trainable }) => trainable).map(({ name }) => name);
const RATES = [0, 1e-3, 2e-3, 5e-4, 1e-2];

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

function draw(random: Random, scale: number): Map<string, Float32Array> {
  return new Map(
    SPECS.map(({ name, shape }) => [
      name,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * random.normal()),
    ]),
  );
}

/** torch.nn.utils.clip_grad_norm_ and torch.optim.AdamW, element by element. */
class Reference {
  readonly m = new Map<string, Float64Array>();
  readonly v = new Map<string, Float64Array>();
  constructor(
    readonly weights: ReadonlyMap<string, Float64Array>,
    private readonly options: AdamWOptions,
  ) {
    for (const [name, { length }] of weights) {
      this.m.set(name, new Float64Array(length));
      this.v.set(name, new Float64Array(length));
    }
  }

  step(gradients: ReadonlyMap<string, Float32Array>, t: number, lr: number): number {
    const { betas, eps, weight_decay, max_grad_norm } = this.options;
    let squares = 0;
    for (const name of TRAINED) for (const g of gradients.get(name) ?? []) squares += g * g;
    const norm = Math.sqrt(squares);
    const clip = max_grad_norm === 0 ? 1 : Math.min(1, max_grad_norm / (norm + 1e-6));
    for (const name of TRAINED) {
      const [w, m, v] = [this.weights.get(name), this.m.get(name), this.v.get(name)];
      if (!w || !m || !v) throw new Error(name);
      for (const [i, raw] of (gradients.get(name) ?? []).entries()) {
        const g = raw * clip;
        m[i] = betas[0] * (m[i] ?? 0) + (1 - betas[0]) * g;
        v[i] = betas[1] * (v[i] ?? 0) + (1 - betas[1]) * g * g;
        const denominator = Math.sqrt(v[i] ?? 0) / Math.sqrt(1 - betas[1] ** t) + eps;
        w[i] = (w[i] ?? 0) * (1 - lr * weight_decay) - ((lr / (1 - betas[0] ** t)) * (m[i] ?? 0)) / denominator;
      }
    }
    return norm;
  }
}

function worst(a: ReadonlyMap<string, ArrayLike<number>>, b: ReadonlyMap<string, ArrayLike<number>>): number {
  let largest = 0;
  for (const name of TRAINED) {
    const [x, y] = [a.get(name) ?? [], b.get(name) ?? []];
    if (x.length === 0 || x.length !== y.length) return Number.NaN;
    for (let i = 0; i < x.length; i++) {
      const difference = Math.abs((x[i] ?? Number.NaN) - (y[i] ?? Number.NaN));
      if (!(difference <= largest)) largest = difference;
    }
  }
  return largest;
}

describe("AdamW", () => {
  it.each([
    ["clipped", 0.5, 0.1],
    ["far below the limit", 1e6, 0.01],
    ["without clipping and decay", 0, 0],
  ])("%s follows torch over several shards", async (_, max_grad_norm, weight_decay) => {
    const options = { betas: [0.9, 0.99], eps: 1e-8, weight_decay, max_grad_norm } as const;
    const random = Random.seeded(3);
    // Small enough that a, b and c cannot share an arena.
    const store = ParameterStore.create(gpu, SPECS, { largestBinding: 8192 });
    expect(store.shards.length).toBe(2);
    const initial = draw(random, 1);
    await store.load("weights", initial, "test");
    const reference = new Reference(
      new Map([...initial].map(([name, values]) => [name, Float64Array.from(values)])),
      options,
    );
    const norm = gpu.createBuffer("norm", 8);
    const optimizer = await AdamW.create(gpu, store.shards, options, norm);
    for (const [index, lr] of RATES.entries()) {
      const gradients = draw(random, 0.3);
      await store.load("gradients", gradients, "test");
      optimizer.prepare(index + 1, lr);
      const [read] = gpu.submit([...optimizer.norm, ...optimizer.update], [norm]);
      const expected = reference.step(gradients, index + 1, lr);
      const [found = Number.NaN] = new Float32Array((await read) ?? new ArrayBuffer(8));
      expect(Math.abs(found - expected)).toBeLessThanOrEqual(1e-6 * expected);
    }
    const weights = await store.read("weights");
    expect(worst(reference.weights, weights)).toBeLessThanOrEqual(2e-6);
    expect(worst(reference.m, await store.read("exp_avg"))).toBeLessThanOrEqual(1e-7);
    expect(worst(reference.v, await store.read("exp_avg_sq"))).toBeLessThanOrEqual(1e-7);
    expect(worst(initial, weights)).toBeGreaterThan(1e-3);
    expect([...(weights.get("frozen") ?? [])]).toEqual([...(initial.get("frozen") ?? [])]);
    optimizer.destroy();
    store.destroy();
    gpu.freeBuffer(norm);
  });

  it("lets a gradient that is not finite show", async () => {
    const options = { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0, max_grad_norm: 1 } as const;
    const store = ParameterStore.create(gpu, SPECS);
    const gradients = draw(Random.seeded(1), 1);
    gradients.get("b")?.set([Number.NaN], 1999);
    await store.load("gradients", gradients, "test");
    const norm = gpu.createBuffer("norm", 8);
    const optimizer = await AdamW.create(gpu, store.shards, options, norm);
    const [read] = gpu.submit(optimizer.norm, [norm]);
    expect(new Float32Array((await read) ?? new ArrayBuffer(8))[0]).toBeNaN();
    optimizer.destroy();
    store.destroy();
    gpu.freeBuffer(norm);
  });
});

describe("parameter store", () => {
  it("refuses a parameter that no binding holds before it allocates", () => {
    const before = gpu.snapshot();
    expect(() => ParameterStore.create(gpu, SPECS, { largestBinding: 4096 })).toThrow(
      expect.objectContaining({ code: "gpu.limit", details: { what: "b", needed: 8192, granted: 4096 } }),
    );
    expect(gpu.snapshot()).toEqual(before);
  });

  it("gives back what was loaded, and frees it", async () => {
    const before = gpu.counters.bytes;
    const store = ParameterStore.create(gpu, SPECS, { largestBinding: 8192 });
    const tensors = draw(Random.seeded(5), 1);
    await store.load("weights", tensors, "test");
    const read = await store.read("weights");
    for (const [name, values] of tensors) expect([...(read.get(name) ?? [])]).toEqual([...values]);
    expect([...(await store.read("gradients")).keys()]).toEqual(TRAINED);
    expect(() => store.gradient("frozen")).toThrow(/frozen/);
    await expect(store.load("weights", new Map([["a", new Float32Array(3)]]), "file")).rejects.toMatchObject({
      code: "model.tensor_shape",
    });
    expect(gpu.counters.bytes).toBeGreaterThan(before);
    store.destroy();
    expect(gpu.counters.bytes - before).toBeLessThanOrEqual(16_384);
  });
});
