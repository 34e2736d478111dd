import { describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { bestThreshold, calibration, evaluationMetrics, type Scored } from "./evaluate";
import { drawPairs } from "./pairs";

const scored = (rewards: number[], labels: number[], lengths = rewards.map((_, index) => index + 1)): Scored => ({
  rewards: Float64Array.from(rewards),
  labels: Uint8Array.from(labels),
  lengths: Int32Array.from(lengths),
  pairs: drawPairs(Uint8Array.from(labels), Random.seeded(1)),
});

describe("evaluationMetrics", () => {
  const four = scored([2, -1, 0.5, -0.5], [1, 0, 0, 1]);

  it("has the loss of BCE with logits, also far from zero", () => {
    const bce = (x: number, y: number) =>
      -(y * Math.log(1 / (1 + Math.exp(-x))) + (1 - y) * Math.log(1 / (1 + Math.exp(x))));
    const expected = (bce(2, 1) + bce(-1, 0) + bce(0.5, 0) + bce(-0.5, 1)) / 4;
    expect(evaluationMetrics("eval", four, "binary", 0).eval_loss).toBeCloseTo(expected, 12);
    expect(evaluationMetrics("eval", scored([-2000, -800], [1, 0]), "binary", 0).eval_loss).toBe(1000);
  });

  it("has the loss of cross-entropy over two logits", () => {
    const logits = [
      [0.3, 1.1, 1],
      [2, -1, 1],
      [0.5, 0.25, 0],
    ] as const;
    const nll = (a: number, b: number, y: number) => Math.log(Math.exp(a) + Math.exp(b)) - (y === 1 ? b : a);
    const expected = logits.reduce((sum, [a, b, y]) => sum + nll(a, b, y), 0) / 3;
    const rows = scored(
      logits.map(([a, b]) => b - a),
      logits.map(([, , y]) => y),
    );
    expect(evaluationMetrics("eval", rows, "cross-entropy", 0).eval_loss).toBeCloseTo(expected, 12);
  });

  it("counts accuracy, AUC and reward figures under the prefix", () => {
    const metrics = evaluationMetrics("test", four, "binary", 0);
    expect(metrics).toMatchObject({
      test_accuracy: 0.5,
      test_auc: 0.75,
      test_mean_reward: 0.25,
      test_min_reward: -1,
      test_max_reward: 2,
      test_margin: 1,
    });
    expect(Object.keys(metrics).every((key) => key.startsWith("test_"))).toBe(true);
    expect(metrics).not.toHaveProperty("test_pairwise_accuracy");
  });

  it("compares pairs by their rewards alone: shifting all of them changes nothing but the threshold", () => {
    const labels = [1, 0, 1, 0, 1];
    const rewards = [3, 2.5, 2, 1, 0.5];
    const at = evaluationMetrics("eval", scored(rewards, labels), "pairwise", 1.5);
    const shifted = evaluationMetrics(
      "eval",
      scored(
        rewards.map((reward) => reward + 7),
        labels,
      ),
      "pairwise",
      8.5,
    );
    for (const key of ["eval_loss", "eval_accuracy", "eval_auc", "eval_pairwise_accuracy", "eval_calibration_error"])
      expect(shifted[key]).toBeCloseTo(at[key] ?? Number.NaN, 12);
    expect(at.eval_threshold).toBe(1.5);
    expect(shifted.eval_threshold).toBe(8.5);
  });

  it("finds rewards that follow the length", () => {
    expect(
      evaluationMetrics("eval", scored([1, 2, 3], [0, 1, 1], [10, 20, 30]), "binary", 0).eval_length_correlation,
    ).toBeCloseTo(1, 12);
    expect(evaluationMetrics("eval", scored([1, 1, 1], [0, 1, 1]), "binary", 0).eval_length_correlation).toBeNull();
  });

  it("puts every row into one bin of the reliability diagram", () => {
    const bins = calibration(scored([100, -100, 0, 0.1], [1, 0, 1, 0]), 0);
    expect(bins.reduce((sum, bin) => sum + bin.count, 0)).toBe(4);
    expect(bins.at(-1)).toMatchObject({ count: 1, share_positive: 1 });
  });
});

describe("bestThreshold", () => {
  const best = (rewards: number[], labels: number[]) =>
    bestThreshold(Float64Array.from(rewards), Uint8Array.from(labels));

  it("separates separable rewards in the middle of the gap", () => {
    expect(best([5, 1, 7, 2], [1, 0, 1, 0])).toBe(3.5);
  });

  it("is never beaten by another cut", () => {
    const random = Random.seeded(3);
    for (let trial = 0; trial < 50; trial++) {
      const rewards = Array.from({ length: 12 }, () => Math.round(4 * random.normal()) / 2);
      const labels = rewards.map((reward) => (reward + 2 * random.normal() > 0 ? 1 : 0));
      const right = (cut: number) => rewards.filter((reward, index) => reward > cut === (labels[index] === 1)).length;
      const most = Math.max(...rewards.flatMap((reward) => [right(reward - 0.01), right(reward + 0.01)]));
      expect(right(best(rewards, labels))).toBe(most);
    }
  });

  it("stays finite where one label is best everywhere", () => {
    expect(best([3, 1], [1, 1])).toBe(0);
    expect(best([3, 1], [0, 0])).toBe(4);
  });
});

describe("drawPairs", () => {
  it("uses every text, positives as chosen, and the seed alone", () => {
    const labels = Uint8Array.from([1, 0, 0, 1, 0, 0, 0]);
    const pairs = drawPairs(labels, Random.seeded(5));
    expect(pairs).toHaveLength(5);
    expect(pairs.every(({ chosen, rejected }) => labels[chosen] === 1 && labels[rejected] === 0)).toBe(true);
    expect(new Set(pairs.flatMap(({ chosen, rejected }) => [chosen, rejected])).size).toBe(7);
    expect(drawPairs(labels, Random.seeded(5))).toEqual(pairs);
    expect(drawPairs(labels, Random.seeded(6))).not.toEqual(pairs);
  });

  it("refuses a single label", () => {
    expect(() => drawPairs(Uint8Array.from([1, 1]), Random.seeded(1))).toThrow(RangeError);
  });
});
