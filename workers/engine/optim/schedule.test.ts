import { describe, expect, it } from "vitest";
import type { LrSchedulerType } from "../../../src/shared/protocol/config";
import { learningRate, warmupSteps } from "./schedule";

/** transformers 5.17 get_scheduler (constant: constant_with_warmup), peak 2e-3: [warm-up, total, rates of steps 0, 1, ...]. */
const REFERENCE: readonly [LrSchedulerType, number, number, readonly number[]][] = [
  [
    "cosine",
    0,
    10,
    [
      0.002, 0.0019510565162951536, 0.0018090169943749475, 0.0015877852522924731, 0.0013090169943749475, 0.001,
      0.0006909830056250527, 0.00041221474770752696, 0.00019098300562505265, 4.894348370484647e-5, 0,
    ],
  ],
  [
    "cosine",
    3,
    10,
    [
      0, 0.0006666666666666666, 0.0013333333333333333, 0.002, 0.001900968867902419, 0.0016234898018587336,
      0.0012225209339563144, 0.0007774790660436857, 0.0003765101981412665, 9.903113209758097e-5, 0,
    ],
  ],
  ["cosine", 1, 7, [0, 0.002, 0.001866025403784439, 0.0015, 0.001, 0.0005000000000000002, 0.0001339745962155613, 0]],
  ["linear", 0, 10, [0.002, 0.0018, 0.0016, 0.0014, 0.0012, 0.001, 0.0008, 0.0006, 0.0004, 0.0002, 0]],
  [
    "linear",
    3,
    10,
    [
      0, 0.0006666666666666666, 0.0013333333333333333, 0.002, 0.0017142857142857142, 0.0014285714285714286,
      0.0011428571428571427, 0.0008571428571428571, 0.0005714285714285714, 0.0002857142857142857, 0,
    ],
  ],
  [
    "linear",
    1,
    7,
    [0, 0.002, 0.0016666666666666668, 0.0013333333333333333, 0.001, 0.0006666666666666666, 0.0003333333333333333, 0],
  ],
  ["constant", 0, 10, new Array<number>(11).fill(0.002)],
  ["constant", 3, 10, [0, 0.0006666666666666666, 0.0013333333333333333, ...new Array<number>(8).fill(0.002)]],
];

describe("learning rate", () => {
  for (const [type, warmup_steps, total_steps, rates] of REFERENCE)
    it(`${type} with ${warmup_steps} of ${total_steps} steps warm-up is transformers'`, () => {
      rates.forEach((rate, step) => {
        const ours = learningRate({ type, learning_rate: 0.002, warmup_steps, total_steps }, step);
        expect(Math.abs(ours - rate)).toBeLessThanOrEqual(1e-17);
      });
    });

  it("rounds the warm-up up, as TrainingArguments does", () => {
    expect(warmupSteps(0.06, 100)).toBe(6);
    expect(warmupSteps(0.06, 101)).toBe(7);
    expect(warmupSteps(0, 100)).toBe(0);
    expect(warmupSteps(0.001, 100)).toBe(1);
  });

  it("never goes below 0 after the end", () => {
    const options = { learning_rate: 1, warmup_steps: 0, total_steps: 4 };
    expect(learningRate({ ...options, type: "linear" }, 6)).toBe(0);
    expect(learningRate({ ...options, type: "cosine" }, 4)).toBeCloseTo(0, 15);
  });
});
