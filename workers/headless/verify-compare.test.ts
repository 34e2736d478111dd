import { describe, expect, it } from "vitest";
import { compareGroup, deviation } from "./verify-compare";

const one = (ours: number[] | undefined, expected: number[]) => [{ name: "t", ours, expected }];

describe("comparison", () => {
  it("measures absolute, relative and relative L2 deviations", () => {
    expect(deviation([1, 2.5], [1, 2])).toEqual({
      absolute: 0.5,
      relative: 0.25,
      mixed: 0.25,
      relative_l2: 0.5 / Math.sqrt(5),
    });
    expect(deviation([0.25], [0])).toMatchObject({
      absolute: 0.25,
      relative: 0.25,
      relative_l2: Number.POSITIVE_INFINITY,
    });
    expect(deviation([0, 0], [0, 0])).toEqual({ absolute: 0, relative: 0, mixed: 0, relative_l2: 0 });
  });

  it("applies each group's tolerance on its own side", () => {
    expect(compareGroup("loss", one([2 * (1 + 0.9e-5)], [2])).pass).toBe(true);
    expect(compareGroup("loss", one([2 * (1 + 1.1e-5)], [2])).pass).toBe(false);
    expect(compareGroup("logits", one([1000.00019], [1000])).pass).toBe(true);
    expect(compareGroup("scores", one([0.00021], [0])).pass).toBe(false);
    expect(compareGroup("grads", one([1, 1.0009], [1, 1])).pass).toBe(true);
    expect(compareGroup("grads", one([1, 1.002], [1, 1])).pass).toBe(false);
    expect(compareGroup("trajectory", one([1, 2.001], [1, 2])).pass).toBe(true);
    expect(compareGroup("trajectory", one([1, 2.003], [1, 2])).pass).toBe(false);
  });

  it("never lets NaN, infinity or a missing tensor pass", () => {
    for (const group of ["loss", "logits", "scores", "grads", "trajectory"] as const) {
      expect(compareGroup(group, one([Number.NaN], [1])).pass).toBe(false);
      expect(compareGroup(group, one([1], [Number.NaN])).pass).toBe(false);
      expect(compareGroup(group, one([Number.POSITIVE_INFINITY], [Number.POSITIVE_INFINITY])).pass).toBe(false);
      expect(compareGroup(group, one(undefined, [0])).pass).toBe(false);
      expect(compareGroup(group, one([0], [0, 0])).pass).toBe(false);
      expect(compareGroup(group, []).pass).toBe(false);
    }
    const found = compareGroup("grads", [...one([1], [1]), { name: "broken", ours: [Number.NaN], expected: [1] }]);
    expect(found).toMatchObject({ tensor: "broken", pass: false });
    expect(found.relative_l2).toBeNaN();
  });

  it("takes a gradient that cancels to rounding as zero, but not a small real one", () => {
    const scale = 10;
    expect(compareGroup("grads", one([3e-8, -2e-8], [1e-18, 0]), scale).pass).toBe(true);
    expect(compareGroup("grads", one([3e-5, -2e-5], [1e-18, 0]), scale).pass).toBe(false);
    expect(compareGroup("grads", one([2.01e-4], [2e-4]), scale).pass).toBe(false);
  });

  it("names the tensor furthest off", () => {
    const tensors = [
      { name: "a", ours: [1.01], expected: [1] },
      { name: "b", ours: [1.5], expected: [1] },
      { name: "c", ours: [1], expected: [1] },
    ];
    expect(compareGroup("grads", tensors)).toMatchObject({ tensor: "b", pass: false });
  });
});
