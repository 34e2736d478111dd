import { describe, expect, it } from "vitest";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatParameters,
  formatPercent,
  formatTick,
  formatValue,
  sigmoid,
} from "./format";

describe("format", () => {
  it("writes shares as percentages and says when a value is missing", () => {
    expect(formatPercent(0.8333)).toBe("83.3%");
    expect(formatPercent(1)).toBe("100.0%");
    expect(formatPercent(null)).toBe("–");
    expect(formatPercent(Number.NaN)).toBe("–");
  });
  it("keeps significant digits", () => {
    expect(formatValue(0.69264)).toBe("0.6926");
    expect(formatValue(12.3456)).toBe("12.35");
    expect(formatValue(0.0005)).toBe("5.00e-4");
    expect(formatValue(123456)).toBe("123456");
    expect(formatValue(-0.25)).toBe("-0.2500");
    expect(formatValue(0)).toBe("0");
    expect(formatValue(undefined)).toBe("–");
  });
  it("writes axes as short as it can", () => {
    expect([0, 0.5, 2, 0.30000000000000004, 4e-4, 12_000, 1500].map(formatTick)).toEqual([
      "0",
      "0.5",
      "2",
      "0.3",
      "4e-4",
      "12k",
      "1500",
    ]);
  });
  it("counts, sizes and parameters", () => {
    expect(formatCount(4332, "ja")).toBe("4,332");
    expect(formatParameters(4_934_016)).toBe("4.93 M");
    expect(formatParameters(830)).toBe("830");
    expect(formatBytes(0)).toBe("0 B");
    expect(formatBytes(11_800_000)).toBe("11.3 MiB");
    expect(formatBytes(900 * 1024)).toBe("900 KiB");
  });
  it("writes durations in the language", () => {
    expect(formatDuration(3725, "ja")).toBe("1時間2分");
    expect(formatDuration(62, "ja")).toBe("1分2秒");
    expect(formatDuration(9.4, "ja")).toBe("9秒");
    expect(formatDuration(62, "en")).toBe("1m 2s");
    expect(formatDuration(null, "en")).toBe("–");
  });
});

describe("sigmoid", () => {
  it("does not overflow on either side", () => {
    expect(sigmoid(0)).toBe(0.5);
    expect(sigmoid(800)).toBe(1);
    expect(sigmoid(-800)).toBe(0);
    expect(sigmoid(2) + sigmoid(-2)).toBeCloseTo(1, 12);
  });
});
