import { describe, expect, it } from "vitest";
import { smooth } from "./smooth";

describe("smooth", () => {
  it("leaves a constant as it is, from the first point on", () => {
    for (const value of smooth([2, 2, 2, 2], 0.9)) expect(value).toBeCloseTo(2, 12);
  });
  it("weights the past by the power of its distance", () => {
    expect(smooth([1, 0, 4], 0.5)[2]).toBeCloseTo((0.25 * 1 + 0 + 4) / 1.75, 12);
  });
  it("keeps gaps and goes on after them", () => {
    const result = smooth([1, Number.NaN, 1], 0.9);
    expect(result[1]).toBeNaN();
    expect(result[2]).toBeCloseTo(1, 12);
  });
  it("does nothing with weight 0", () => {
    expect([...smooth([3, 1, 4], 0)]).toEqual([3, 1, 4]);
  });
});
