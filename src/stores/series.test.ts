import { describe, expect, it } from "vitest";
import { MetricSeries } from "./series";

describe("MetricSeries", () => {
  it("keeps rows sorted by step, with NaN where a value is missing or null", () => {
    const series = new MetricSeries();
    series.set(1, 10, { loss: 0.7 });
    series.set(3, 30, { loss: null, grad_norm: 2 });
    series.set(2, 20, { grad_norm: 1 });
    expect([...series.column("step")]).toEqual([1, 2, 3]);
    expect([...series.column("time")]).toEqual([10, 20, 30]);
    expect([...series.column("loss")]).toEqual([0.7, Number.NaN, Number.NaN]);
    expect([...series.column("grad_norm")]).toEqual([Number.NaN, 1, 2]);
    expect([...series.column("never")]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    expect(series.keys()).toEqual(["step", "time", "loss", "grad_norm"]);
    expect(series.last("loss")).toBe(0.7);
    expect(series.last("never")).toBeNull();
  });

  it("replaces the whole row of a step that comes again", () => {
    const series = new MetricSeries();
    series.set(1, 10, { loss: 0.7, grad_norm: 3 });
    series.set(2, 20, { loss: 0.6, grad_norm: 2 });
    series.set(1, 11, { loss: 0.5 });
    expect(series.length).toBe(2);
    expect([...series.column("loss")]).toEqual([0.5, 0.6]);
    expect([...series.column("grad_norm")]).toEqual([Number.NaN, 2]);
  });

  it("drops what lies beyond a checkpoint and fills the place again without remains", () => {
    const series = new MetricSeries();
    for (let step = 1; step <= 1000; step++) series.set(step, step, { loss: step, extra: step });
    series.truncateAfter(600);
    expect(series.length).toBe(600);
    expect(series.last("loss")).toBe(600);
    series.set(601, 0, { loss: -1 });
    expect(series.column("extra")[600]).toBeNaN();
    expect(series.last("extra")).toBe(600);
  });

  it("appends a million rows without a copy per row", () => {
    const series = new MetricSeries();
    const buffers = new Set<ArrayBufferLike>();
    for (let step = 0; step < 1_000_000; step++) {
      series.set(step, step, { loss: step / 2, grad_norm: 1 });
      buffers.add(series.column("loss").buffer);
    }
    expect(series.length).toBe(1_000_000);
    expect(series.column("loss")[999_999]).toBe(499_999.5);
    // Capacity doubles from 256, so the column moves a dozen times in all.
    expect(buffers.size).toBeLessThanOrEqual(Math.ceil(Math.log2(1_000_000 / 256)) + 1);
  });
});
