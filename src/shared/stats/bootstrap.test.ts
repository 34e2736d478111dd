import { describe, expect, it } from "vitest";
import { bootstrapItems } from "./bootstrap";
import { Random } from "./random";

const normals = (count: number, seed: number, mean = 0) => {
  const random = Random.seeded(seed);
  return Float64Array.from({ length: count }, () => mean + random.normal());
};

describe("bootstrapItems", () => {
  it("agrees with the normal interval on many normal values", () => {
    const values = normals(400, 3, 0.5);
    const mean = values.reduce((sum, value) => sum + value, 0) / 400;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 399);
    const half = (1.96 * deviation) / Math.sqrt(400);
    const interval = bootstrapItems(values, { seed: 1, draws: 2000 });
    expect(Math.abs((interval?.low ?? Number.NaN) - (mean - half))).toBeLessThan(0.1 * half);
    expect(Math.abs((interval?.high ?? Number.NaN) - (mean + half))).toBeLessThan(0.1 * half);
  });

  it("holds the true mean about as often as it says", () => {
    let held = 0;
    for (let trial = 0; trial < 100; trial++) {
      const interval = bootstrapItems(normals(60, 1000 + trial, 2), { seed: trial, draws: 200 });
      if (interval && interval.low <= 2 && 2 <= interval.high) held += 1;
    }
    // Three standard deviations of a count around 95 are 6.5, and the bootstrap is a little too sure of itself.
    expect(held).toBeGreaterThanOrEqual(87);
    expect(held).toBeLessThanOrEqual(99);
  });

  it("has the exact quantiles of two values", () => {
    // The mean of a resample of {0, 1} is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4.
    expect(bootstrapItems([0, 1], { seed: 5 })).toEqual({ low: 0, high: 1 });
    expect(bootstrapItems([0, 1], { seed: 5, level: 0.3 })).toEqual({ low: 0.5, high: 0.5 });
  });

  it("depends on the seed and nothing else", () => {
    const values = normals(30, 9);
    expect(bootstrapItems(values, { seed: 1 })).toEqual(bootstrapItems(values, { seed: 1 }));
    expect(bootstrapItems(values, { seed: 1 })).not.toEqual(bootstrapItems(values, { seed: 2 }));
  });

  it("says nothing of nothing", () => {
    expect(bootstrapItems([], { seed: 1 })).toBeNull();
    expect(bootstrapItems([1], { seed: 1 })).toBeNull();
    expect(bootstrapItems([1, Number.NaN, 2], { seed: 1 })).toBeNull();
    expect(bootstrapItems([3, 3, 3], { seed: 1 })).toEqual({ low: 3, high: 3 });
  });
});
