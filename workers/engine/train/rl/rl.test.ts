/** The pure mathematics of PPO and DPO against PyTorch (workers/remote/nagi_worker/golden_rl.py), and its edges. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { explainedVariance, generalizedAdvantages, tokenRewards, whiten } from "./advantages";
import { distinct2 } from "./distinct";
import { adaptKlCoef, tokenKl } from "./kl";
import { preferenceMetrics } from "./preference";
import { mean, startsOf, textSums } from "./ragged";
import { NO_MOMENTS, type RunningMoments, shapeScores, standardDeviation, withBatch } from "./scores";
import { type UpdateStats, updateMetrics, updateStats } from "./update-stats";

const array = z.array(z.number()).transform((values) => Float64Array.from(values));
const estimate = z.object({
  kl: array,
  rewards: array,
  whitened_rewards: array,
  advantages: array,
  returns: array,
  whitened_advantages: array,
  explained_variance: z.number(),
  "objective/kl": z.number(),
  "objective/entropy": z.number(),
  "objective/non_score_reward": z.number(),
});
const golden = z
  .object({
    mathematics: z.object({
      lengths: array,
      finished: z.array(z.boolean()),
      logprobs: array,
      reference: array,
      values: array,
      raw_scores: array,
      earlier_scores: array,
      score_shape: z.object({ reward_baseline: z.number(), reward_clip: z.number(), missing_eos_penalty: z.number() }),
      deviation: z.number(),
      scores: array,
      ppo: z.object({
        kl_coef: z.number(),
        gamma: z.number(),
        lam: z.number(),
        cliprange: z.number(),
        cliprange_value: z.number(),
      }),
      estimators: z.object({ k1: estimate, k3: estimate }),
      controller: z.object({
        target: z.number(),
        texts: z.number(),
        horizon: z.number(),
        steps: z.array(z.object({ kl: z.number(), coefficient: z.number() })),
      }),
      update: z.object({
        inputs: z.object({
          logprobs: array,
          values: array,
          entropies: array,
          old_logprobs: array,
          old_values: array,
          advantages: array,
          returns: array,
        }),
        stats: z.record(z.string(), z.number()),
      }),
      dpo: z.object({
        beta: z.number(),
        label_smoothing: z.number(),
        logps: z.object({ chosen: array, rejected: array, reference_chosen: array, reference_rejected: array }),
        metrics: z.record(z.string(), z.number()),
      }),
    }),
  })
  .parse(JSON.parse(readFileSync(new URL("../../golden/rl.json", import.meta.url), "utf8"))).mathematics;

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN));
    if (!(difference <= 1e-12 * (1 + Math.abs(expected[i] ?? 0))))
      throw new Error(`[${i}]: ${actual[i]} instead of ${expected[i]}`);
  }
}

const starts = startsOf(golden.lengths);
const { ppo, logprobs, reference, values, scores } = golden;

describe("against PyTorch", () => {
  it.each(["k1", "k3"] as const)("rewards with %s, whitening, advantages, returns, explained variance", (estimator) => {
    const expected = golden.estimators[estimator];
    const kl = tokenKl(estimator, logprobs, reference);
    expectClose(kl, expected.kl);
    const rewards = tokenRewards(kl, ppo.kl_coef, scores, starts);
    expectClose(rewards, expected.rewards);
    const whitened = whiten(rewards, false);
    expectClose(whitened, expected.whitened_rewards);
    const { advantages, returns } = generalizedAdvantages(whitened, values, starts, ppo);
    expectClose(advantages, expected.advantages);
    expectClose(returns, expected.returns);
    expectClose(whiten(advantages), expected.whitened_advantages);
    expectClose([explainedVariance(values, returns) ?? Number.NaN], [expected.explained_variance]);
    const perText = [
      mean(textSums(kl, starts)),
      -mean(textSums(logprobs, starts)),
      -ppo.kl_coef * mean(textSums(kl, starts)),
    ];
    const keys = ["objective/kl", "objective/entropy", "objective/non_score_reward"] as const;
    expectClose(
      perText,
      keys.map((key) => expected[key]),
    );
  });

  it("scores: baseline, running deviation over two batches, clipping, the penalty for texts without EOS", () => {
    const moments = withBatch(withBatch(NO_MOMENTS, golden.earlier_scores), golden.raw_scores);
    const scale = standardDeviation(moments);
    expectClose([scale ?? Number.NaN], [golden.deviation]);
    expectClose(shapeScores(golden.raw_scores, golden.finished, { ...golden.score_shape, scale }), scores);
  });

  it("the adaptive coefficient", () => {
    let coefficient = ppo.kl_coef;
    const { steps, ...settings } = golden.controller;
    expect(steps.length).toBeGreaterThan(3);
    for (const { kl, coefficient: expected } of steps) {
      coefficient = adaptKlCoef(coefficient, { kl, ...settings });
      expectClose([coefficient], [expected]);
    }
  });

  it("losses and statistics of an update", () => {
    const { inputs, stats } = golden.update;
    const ours = updateStats(inputs, ppo);
    expectClose(
      [ours.policy_loss, ours.value_loss, ours.approxkl, ours.clipfrac, ours.value_clipfrac, ours.entropy, ours.ratio],
      ["policy_loss", "value_loss", "approxkl", "clipfrac", "value_clipfrac", "entropy", "ratio"].map(
        (key) => stats[key] ?? Number.NaN,
      ),
    );
  });

  it("DPO's loss and metrics", () => {
    const { logps, metrics, ...settings } = golden.dpo;
    const ours = preferenceMetrics(logps, settings);
    expect(Object.keys(ours)).toEqual(Object.keys(metrics));
    expectClose(Object.values(ours), Object.values(metrics));
  });
});

describe("edges", () => {
  it("k3 is never negative, and both are 0 where nothing moved", () => {
    const p = Float64Array.of(-1, -2, -3);
    expect(tokenKl("k3", p, Float64Array.of(-9, -0.1, -3)).every((value) => value >= 0)).toBe(true);
    expect(tokenKl("k1", p, Float64Array.of(-0.5, -2, -3))[0]).toBe(-0.5);
    for (const estimator of ["k1", "k3"] as const)
      expect([...tokenKl(estimator, p, p)].map(Math.abs)).toEqual([0, 0, 0]);
    expect(() => tokenKl("k1", p, Float64Array.of(1))).toThrow(RangeError);
  });

  it("texts need tokens", () => {
    expect(() => startsOf([2, 0])).toThrow("continuation 1 has 0 tokens");
  });

  it("nothing to whiten, explain or scale", () => {
    expect(whiten(Float64Array.of(3))).toEqual(Float64Array.of(3));
    expect([...whiten(Float64Array.of(2, 2, 2))]).toEqual([0, 0, 0]);
    expect(explainedVariance(Float64Array.of(1, 2), Float64Array.of(5, 5))).toBeNull();
    expect(standardDeviation(NO_MOMENTS)).toBeNull();
    expect(standardDeviation(withBatch(NO_MOMENTS, [4, 4]))).toBeNull();
    expect(withBatch({ count: 2, mean: 1, variance: 4 }, [])).toEqual({ count: 2, mean: 1, variance: 4 });
  });

  it("running moments do not depend on how the numbers were cut", () => {
    const numbers = [3, -1, 4, 1, -5, 9, 2, 6];
    const cut = (...sizes: number[]): RunningMoments => {
      let [moments, first] = [NO_MOMENTS, 0];
      for (const size of sizes) {
        moments = withBatch(moments, numbers.slice(first, first + size));
        first += size;
      }
      return moments;
    };
    const [whole, parts] = [cut(8), cut(1, 5, 2)];
    expectClose([parts.count, parts.mean, parts.variance], [whole.count, whole.mean, whole.variance]);
  });

  it("clipping and penalty can be off; a penalty is not clipped away", () => {
    const shape = { reward_baseline: 0, scale: null, reward_clip: 0, missing_eos_penalty: null };
    expect([...shapeScores([50, -50], [true, false], shape)]).toEqual([50, -50]);
    expect([...shapeScores([50, -50], [true, false], { ...shape, reward_clip: 5, missing_eos_penalty: 1 })]).toEqual([
      5, -6,
    ]);
  });

  it("the coefficient moves by at most a fifth of texts / horizon, whatever the KL", () => {
    expect(adaptKlCoef(1, { kl: 1e9, target: 6, texts: 50, horizon: 100 })).toBeCloseTo(1.1, 12);
    expect(adaptKlCoef(1, { kl: -1e9, target: 6, texts: 50, horizon: 100 })).toBeCloseTo(0.9, 12);
  });

  it("distinct-2 counts pairs over all texts, not across their borders", () => {
    expect(
      distinct2([
        [1, 2, 3],
        [1, 2],
      ]),
    ).toBeCloseTo(2 / 3, 12);
    const apart = [
      [1, 23],
      [12, 3],
    ];
    expect(distinct2(apart)).toBe(1);
    expect(distinct2([[7, 7, 7, 7]])).toBeCloseTo(1 / 3, 12);
    expect(distinct2([[1], []])).toBeNull();
  });

  it("the variance of the ratio is over minibatches, null for one", () => {
    const stats: UpdateStats = {
      policy_loss: 1,
      value_loss: 2,
      approxkl: 0,
      clipfrac: 0,
      value_clipfrac: 0,
      entropy: 3,
      ratio: 1,
    };
    expect(updateMetrics([stats])["val/ratio_var"]).toBeNull();
    const two = updateMetrics([stats, { ...stats, ratio: 1.5, policy_loss: 3 }]);
    expect(two).toMatchObject({ "val/ratio": 1.25, "val/ratio_var": 0.125, "loss/policy_avg": 2, "loss/value_avg": 2 });
    expect(() => updateStats({ ...golden.update.inputs, returns: Float64Array.of(1) }, ppo)).toThrow(RangeError);
  });
});
