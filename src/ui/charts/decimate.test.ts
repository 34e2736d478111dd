import { describe, expect, it } from "vitest";
import { decimate, evenly, extent } from "./decimate";

/** A noisy curve with single-step spikes up and down at known places. */
function spiky(length: number, spikes: ReadonlyMap<number, number>): number[] {
  return Array.from({ length }, (_, i) => spikes.get(i) ?? Math.sin(i * 0.37) * 0.1);
}

describe("decimate", () => {
  it("keeps every spike of a long curve, up and down", () => {
    const spikes = new Map([
      [7, 50],
      [33_333, -40],
      [33_334, 41],
      [70_001, 9],
      [99_998, -3],
    ]);
    const values = spiky(100_000, spikes);
    const x = values.map((_, i) => i);
    const kept = new Set(decimate(x, [values], 0, x.length - 1, 300));
    for (const index of spikes.keys()) expect(kept.has(index)).toBe(true);
    expect(kept.size).toBeLessThanOrEqual(5 * 300);
    expect(kept.has(0)).toBe(true);
    expect(kept.has(99_999)).toBe(true);
  });

  it("keeps the spikes of every series", () => {
    const a = spiky(10_000, new Map([[1234, 8]]));
    const b = spiky(10_000, new Map([[1240, -8]]));
    const kept = decimate(
      a.map((_, i) => i),
      [a, b],
      0,
      9999,
      100,
    );
    expect(kept).toContain(1234);
    expect(kept).toContain(1240);
    expect([...kept].sort((p, q) => p - q)).toEqual(kept);
    expect(new Set(kept).size).toBe(kept.length);
  });

  it("keeps a missing value, so that a diverged step stays a gap", () => {
    const values = Float64Array.from(spiky(10_000, new Map()));
    values[5000] = Number.NaN;
    expect(
      decimate(
        values.map((_, i) => i),
        [values],
        0,
        9999,
        50,
      ),
    ).toContain(5000);
    expect(extent(values)?.high).toBeLessThan(1);
  });

  it("cuts to the visible range with one neighbour on either side", () => {
    const x = [0, 10, 20, 30, 40, 50];
    expect(decimate(x, [x], 15, 35, 100)).toEqual([1, 2, 3, 4]);
    expect(decimate(x, [x], -5, 500, 100)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(decimate([], [[]], 0, 1, 100)).toEqual([]);
  });

  it("works when all x are the same", () => {
    const x = new Array<number>(1000).fill(3);
    const values = spiky(1000, new Map([[500, 99]]));
    expect(decimate(x, [values], 0, 10, 10)).toContain(500);
  });
});

describe("extent", () => {
  it("skips missing values", () => {
    expect(extent([Number.NaN, 3, -1])).toEqual({ low: -1, high: 3 });
    expect(extent([Number.NaN])).toBeNull();
    expect(extent([])).toBeNull();
  });
});

describe("evenly", () => {
  it("takes the first and the last row and never more than the limit", () => {
    expect(evenly(3, 10)).toEqual([0, 1, 2]);
    const rows = evenly(1001, 11);
    expect(rows).toHaveLength(11);
    expect(rows[0]).toBe(0);
    expect(rows.at(-1)).toBe(1000);
  });
});
