import { describe, expect, it } from "vitest";
import { around, fromZero, niceTicks, share } from "./ranges";

describe("niceTicks", () => {
  it("steps in round numbers inside the range", () => {
    expect(niceTicks(-6.97, 7.03, 5)).toEqual([-5, 0, 5]);
    expect(niceTicks(0, 185, 5)).toEqual([0, 50, 100, 150]);
    expect(niceTicks(0, 1, 5).map((tick) => tick.toFixed(1))).toEqual(["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    expect(niceTicks(3, 3, 5)).toEqual([3]);
  });
});

describe("axis ranges", () => {
  it("starts at zero and leaves room above the highest value", () => {
    const [low, high] = fromZero(0.2, 0.7);
    expect(low).toBe(0);
    expect(high).toBeGreaterThan(0.7);
    expect(fromZero(0, 0)).toEqual([0, 1]);
  });
  it("keeps shares within 0 and 1 and never closer than ten points", () => {
    const [low, high] = share(0.97, 0.98);
    expect(high).toBeLessThanOrEqual(1);
    expect(high - low).toBeGreaterThanOrEqual(0.1 - 0.06);
    expect(low).toBeLessThan(0.97);
    expect(share(0, 1)).toEqual([0, 1]);
  });
  it("looks at rewards around where they are, with zero in sight where it is near", () => {
    expect(around(0.2, 3)[0]).toBe(0);
    expect(around(-3, -0.2)[1]).toBe(0);
    const [low, high] = around(7, 8);
    expect(low).toBeGreaterThan(6);
    expect(high).toBeGreaterThan(8);
    expect(around(-1, 1)[0]).toBeLessThan(-1);
    expect(around(0, 0)).toEqual([0, 0.08]);
  });
});
