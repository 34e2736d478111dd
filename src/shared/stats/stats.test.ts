import { describe, expect, it } from "vitest";
import { areaUnderCurve } from "./auc";
import { calibrationBins, expectedCalibrationError, sigmoid } from "./calibration";
import { accuracy, majorityAccuracy } from "./classification";
import { pearson, spearman } from "./correlation";
import cases from "./fixtures/stats.json";
import { histogram, histogramOfWidth } from "./histogram";
import { midRanks } from "./ranks";

function expectClose(found: number | null, wanted: number, tolerance = 1e-12): void {
  if (found === null || !(Math.abs(found - wanted) <= tolerance)) expect.fail(`${found} is not ${wanted}`);
}

describe("against scikit-learn, scipy and numpy", () => {
  it.each(cases.map((values) => ({ rows: values.labels.length, values })))("$rows rows", ({ values }) => {
    expectClose(areaUnderCurve(values.scores, values.labels), values.auc);
    expectClose(accuracy(values.scores, values.labels), values.accuracy);
    expectClose(majorityAccuracy(values.labels, values.labels), values.majority);
    expectClose(pearson(values.scores, values.other), values.pearson, 1e-10);
    expectClose(spearman(values.scores, values.other), values.spearman, 1e-10);
    const bins = calibrationBins(values.probability, values.labels, 10);
    const filled = bins.filter(({ count }) => count > 0);
    expect(filled.length).toBe(values.calibration.share_positive.length);
    for (const [i, bin] of filled.entries()) {
      expectClose(bin.share_positive, values.calibration.share_positive[i] ?? Number.NaN);
      expectClose(bin.mean_predicted, values.calibration.mean_predicted[i] ?? Number.NaN);
    }
    expectClose(expectedCalibrationError(bins), values.expected_calibration_error);
    const { counts } = histogramOfWidth(
      values.scores.map((score) => Math.abs(score * 10)),
      8,
    );
    expect([...counts, ...new Array<number>(10 - counts.length).fill(0)]).toEqual(values.histogram);
    for (const [i, score] of values.scores.entries()) expectClose(sigmoid(score), values.probability[i] ?? Number.NaN);
  });
});

describe("nothing to compute gives null, never NaN", () => {
  it("without rows", () => {
    expect(areaUnderCurve([], [])).toBeNull();
    expect(accuracy([], [])).toBeNull();
    expect(majorityAccuracy([], [1])).toBeNull();
    expect(majorityAccuracy([1], [])).toBeNull();
    expect(pearson([], [])).toBeNull();
    expect(spearman([], [])).toBeNull();
    expect(expectedCalibrationError(calibrationBins([], []))).toBeNull();
    expect(histogram([])).toEqual({ bin_width: 1, counts: [] });
  });

  it("with one label, one pair, a constant side or a broken score", () => {
    expect(areaUnderCurve([0.1, 0.2], [1, 1])).toBeNull();
    expect(areaUnderCurve([0.1, 0.2], [0, 0])).toBeNull();
    expect(areaUnderCurve([0.1, Number.NaN], [0, 1])).toBeNull();
    expect(pearson([1], [2])).toBeNull();
    expect(pearson([1, 1, 1], [1, 2, 3])).toBeNull();
    expect(pearson([1, Number.POSITIVE_INFINITY], [1, 2])).toBeNull();
    expect(spearman([1, Number.NaN], [1, 2])).toBeNull();
    expect(midRanks([Number.NaN])).toBeNull();
    expect(calibrationBins([Number.NaN], [1]).every(({ count }) => count === 0)).toBe(true);
  });

  it("a score that is not a number counts as wrong", () => {
    expect(accuracy([Number.NaN, Number.NaN, 1, -1], [1, 0, 1, 0])).toBe(0.5);
  });
});

describe("edges", () => {
  it("all scores equal: chance", () => expect(areaUnderCurve([3, 3, 3], [0, 1, 1])).toBe(0.5));
  it("infinite scores are in order", () => {
    const { POSITIVE_INFINITY: inf, NEGATIVE_INFINITY: minus } = Number;
    expect(areaUnderCurve([minus, 0, inf, inf], [0, 0, 1, 1])).toBe(1);
  });
  it("a tie in training predicts positive", () => expect(majorityAccuracy([0, 1], [0, 0, 1])).toBe(1 / 3));
  it("probability 1 is in the last bin", () => expect(calibrationBins([1], [1]).at(-1)?.count).toBe(1));
  it("sigmoid does not overflow", () => {
    expect(sigmoid(1000)).toBe(1);
    expect(sigmoid(-1000)).toBe(0);
  });
  it("lengths that differ are a mistake of the caller", () => {
    expect(() => areaUnderCurve([1], [])).toThrow(RangeError);
    expect(() => accuracy([1], [])).toThrow(RangeError);
    expect(() => pearson([1], [])).toThrow(RangeError);
    expect(() => calibrationBins([1], [])).toThrow(RangeError);
  });
  it("a histogram has round bins and few of them", () => {
    expect(histogram([25, 183, 59]).bin_width).toBe(5);
    expect(histogram([0, 0, 1])).toEqual({ bin_width: 1, counts: [2, 1] });
    expect(histogram([400], 40).counts.length).toBeLessThanOrEqual(40);
    expect(histogram([Number.NaN, -1, 3]).counts.reduce((a, b) => a + b)).toBe(1);
  });
});
