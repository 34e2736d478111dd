/** AdamW, the gradient norm and its clip factor against float64 loops that follow torch.optim.AdamW line by line. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDawn } from "../gpu/dawn";
import type { BufferSlice, Gpu } from "../gpu/gpu";
import { adamw } from "./adamw";
import { fill } from "./fill";
import { normFinal } from "./norm-final";
import { normPartial, normPartialCount } from "./norm-partial";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

const upload = (name: string, values: Float32Array): BufferSlice => {
  const slice = gpu.createBuffer(name, values.byteLength + 256);
  const guarded = new Float32Array(values.length + 64).fill(12345);
  guarded.set(values);
  gpu.write(slice, guarded);
  return slice;
};

/** The values, after checking that what lies behind them is untouched. */
async function download(slice: BufferSlice, count: number): Promise<Float32Array> {
  const all = new Float32Array(await gpu.read(slice));
  expect(all.subarray(count).every((value) => value === 12345)).toBe(true);
  return all.slice(0, count);
}

const wave = (count: number, scale: number, phase: number) =>
  Float32Array.from({ length: count }, (_, i) => scale * Math.sin(0.7 * i + phase) * (1 + (i % 7)));

const within = (actual: number, expected: number, relative: number) =>
  expect(Math.abs(actual - expected) <= relative * Math.abs(expected), `${actual} instead of ${expected}`).toBe(true);

describe.each([
  ["vec4", 1000],
  ["scalar", 4099],
] as const)("adamw, %s", (width, N) => {
  test("three steps with decay and clipping follow torch.optim.AdamW", async () => {
    const [lr, beta1, beta2, eps, weightDecay, clip] = [1e-2, 0.9, 0.999, 1e-8, 0.1, 0.25];
    const weights = wave(N, 0.5, 0);
    const slices = {
      weight: upload("weight", weights),
      grad: upload("grad", new Float32Array(N)),
      exp_avg: upload("exp_avg", new Float32Array(N)),
      exp_avg_sq: upload("exp_avg_sq", new Float32Array(N)),
      scalars: upload("scalars", new Float32Array(4)),
      norm: upload("norm", Float32Array.of(1, clip)),
    };
    const params = { N, beta2, one_minus_beta1: 1 - beta1, one_minus_beta2: 1 - beta2, eps };
    const update = await gpu.dispatch({ label: "adamw", kernel: adamw[width], bindings: slices, params });
    const expected = Float64Array.from(weights);
    const m = new Float64Array(N);
    const v = new Float64Array(N);
    for (let t = 1; t <= 3; t++) {
      const grad = wave(N, 0.1, t);
      gpu.write(slices.grad, grad);
      gpu.write(
        slices.scalars,
        Float32Array.of(lr / (1 - beta1 ** t), Math.sqrt(1 - beta2 ** t), 1 - lr * weightDecay, 0),
      );
      gpu.submit([update]);
      for (let i = 0; i < N; i++) {
        const g = (grad[i] ?? NaN) * clip;
        expected[i] = (expected[i] ?? NaN) * (1 - lr * weightDecay);
        m[i] = beta1 * (m[i] ?? NaN) + (1 - beta1) * g;
        v[i] = beta2 * (v[i] ?? NaN) + (1 - beta2) * g * g;
        const step = (lr / (1 - beta1 ** t)) * (m[i] ?? NaN);
        expected[i] = (expected[i] ?? NaN) - step / (Math.sqrt(v[i] ?? NaN) / Math.sqrt(1 - beta2 ** t) + eps);
      }
    }
    const compare = (actual: Float32Array, wanted: Float64Array) => {
      const scale = wanted.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      const worst = wanted.reduce((max, value, i) => Math.max(max, Math.abs((actual[i] ?? NaN) - value)), 0);
      expect(worst <= 1e-6 * scale, `off by ${worst} of ${scale}`).toBe(true);
    };
    compare(await download(slices.weight, N), expected);
    compare(await download(slices.exp_avg, N), m);
    compare(await download(slices.exp_avg_sq, N), v);
  });
});

describe("gradient norm", () => {
  /** Norm and factor over several ranges that share one partial buffer. */
  async function norm(ranges: readonly Float32Array[], maxGradNorm: number): Promise<Float32Array> {
    const count = ranges.reduce((sum, range) => sum + normPartialCount(range.length), 0);
    const partial = upload("partial", new Float32Array(count).fill(NaN));
    const result = upload("norm", new Float32Array(2).fill(NaN));
    const dispatches = [];
    let first = 0;
    for (const range of ranges) {
      const kernel = range.length % 4 === 0 ? normPartial.vec4 : normPartial.scalar;
      const bindings = { x: upload("x", range), partial };
      dispatches.push(await gpu.dispatch({ label: "partial", kernel, bindings, params: { N: range.length, first } }));
      first += normPartialCount(range.length);
    }
    const params = { count, max_grad_norm: maxGradNorm };
    dispatches.push(
      await gpu.dispatch({ label: "final", kernel: normFinal, bindings: { partial, norm: result }, params }),
    );
    gpu.submit(dispatches);
    await download(partial, count);
    return download(result, 2);
  }

  const ranges = [wave(3, 1, 0), wave(20_000, 0.01, 1), wave(4099, 2, 2), wave(4096, 1, 3)];
  const expected = Math.sqrt(ranges.reduce((sum, range) => sum + range.reduce((s, value) => s + value * value, 0), 0));

  test("covers every element of every range", async () => {
    const [value = NaN, factor = NaN] = await norm(ranges, 1);
    within(value, expected, 1e-6);
    within(factor, 1 / (expected + 1e-6), 1e-6);
  });

  test("leaves small gradients alone, and all of them where clipping is off", async () => {
    expect((await norm(ranges, 1e6))[1]).toBe(1);
    expect((await norm(ranges, 0))[1]).toBe(1);
    expect(await norm([new Float32Array(8)], 1)).toEqual(Float32Array.of(0, 1));
  });

  test("what is not finite stays so", async () => {
    const broken = Float32Array.of(1, 2, Number.NaN, 4);
    const [value = 0, factor = 0] = await norm([broken], 1);
    expect(value).toBeNaN();
    expect(factor).toBeNaN();
    expect((await norm([Float32Array.of(1, Infinity, 3, 4)], 1))[0]).toBe(Infinity);
  });

  test("is bit-equal in a second run", async () => {
    expect(await norm(ranges, 1)).toEqual(await norm(ranges, 1));
  });
});

test("fill sets, adds, and leaves alone", async () => {
  const y = upload("y", Float32Array.of(1, 2, 3, 4, 5, 6));
  const run = async (value: number, accumulate: number) => {
    const kernel = fill.scalar;
    gpu.submit([
      await gpu.dispatch({
        label: "fill",
        kernel,
        bindings: { y },
        params: { N: 6, value },
        overrides: { ACCUMULATE: accumulate },
      }),
    ]);
    return [...(await download(y, 6))];
  };
  expect(await run(0, 1)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(await run(0.5, 1)).toEqual([1.5, 2.5, 3.5, 4.5, 5.5, 6.5]);
  expect(await run(0, 0)).toEqual([0, 0, 0, 0, 0, 0]);
});
