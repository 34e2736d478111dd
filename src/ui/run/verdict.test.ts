import { describe, expect, it } from "vitest";
import { verdict } from "./verdict";

describe("verdict", () => {
  it("waits until everything is known", () => {
    expect(verdict(null, 0.5, 0.9)).toBe("waiting");
    expect(verdict(0.9, null, 0.9)).toBe("waiting");
  });
  it("needs more than each baseline", () => {
    expect(verdict(0.95, 0.5, 0.92)).toBe("above_both");
    expect(verdict(0.92, 0.5, 0.92)).toBe("below_ngram");
    expect(verdict(0.5, 0.5, 0.92)).toBe("below_majority");
    expect(verdict(0.85, 0.9, 0.8)).toBe("below_majority");
  });
  it("does not call a missing number a success", () => {
    expect(verdict(Number.NaN, 0.5, 0.9)).toBe("below_majority");
  });
});
