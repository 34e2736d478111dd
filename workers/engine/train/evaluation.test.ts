import { describe, expect, it } from "vitest";
import { generation } from "../../../src/shared/protocol/artefact";
import { Random } from "../../../src/shared/stats/random";
import { evaluationFigures, evaluationFiles, type ModelTexts } from "./evaluation";

/** 40 texts a model; the rewards of the second are higher by `gain`, noise apart. */
function texts(model: string, gain: number, repeat: boolean): ModelTexts {
  const random = Random.seeded(gain === 0 ? 1 : 2);
  return {
    model,
    ids: Array.from({ length: 40 }, (_, item) => Int32Array.from([5, 6, repeat ? 7 : 100 + item, 9])),
    generations: Array.from({ length: 40 }, (_, item) => ({
      item,
      prompt: `p${item}`,
      model,
      text: "xyz",
      tokens: 5,
      finished: item % 4 !== 0,
      rewards: { reward: Math.sin(item) + gain + 0.1 * random.normal(), judge: Math.cos(item) },
      kl: gain === 0 ? 0 : item / 10,
      length: 3,
    })),
  };
}

describe("evaluationFigures", () => {
  const models = [texts("merge", 0, false), texts("ppo", 1, true)];
  const figures = evaluationFigures(models, ["reward", "judge"], 7);

  it("has the figures the issue names", () => {
    expect(figures.prompts).toBe(40);
    expect((figures.reward_rlhf_mean ?? 0) - (figures.reward_sft_mean ?? 0)).toBeCloseTo(
      figures.reward_difference ?? 0,
      12,
    );
    expect(figures.reward_difference_ci95_low).toBeGreaterThan(0.9);
    expect(figures.reward_difference_ci95_high).toBeLessThan(1.1);
    // Pairing takes the prompts' own spread out: unpaired, the interval would be ten times as wide.
    expect((figures.reward_difference_ci95_high ?? 9) - (figures.reward_difference_ci95_low ?? 0)).toBeLessThan(0.15);
    expect(figures.holdout_reward_difference).toBeCloseTo(0, 12);
    expect(figures.holdout_reward_difference_ci95_low).toBeCloseTo(0, 12);
    expect(figures.kl_nats).toBeCloseTo(1.95, 12);
    // 5-6 everywhere, 6-x and x-9 each their own: 81 of 120 against 3 of 120.
    expect(figures["merge/distinct2"]).toBeCloseTo(81 / 120, 12);
    expect(figures.distinct2_ratio).toBeCloseTo(3 / 81, 12);
    expect(figures["ppo/finished"]).toBe(0.75);
  });

  it("compares nothing where there is one model, and judges nothing without a judge", () => {
    const alone = evaluationFigures(models.slice(0, 1), ["reward"], 7);
    expect(Object.keys(alone).filter((key) => key.includes("difference"))).toEqual([]);
    expect(evaluationFigures(models, [], 7)).not.toHaveProperty("reward_difference");
    expect(evaluationFigures(models, ["reward"], 7)).not.toHaveProperty("holdout_reward_difference");
  });

  it("writes a line a text", () => {
    const all = models.flatMap(({ generations }) => generations);
    const files = evaluationFiles(all, figures);
    const lines = new TextDecoder().decode(files.get("generations.jsonl")).trimEnd().split("\n");
    expect(lines.map((line) => generation.parse(JSON.parse(line)))).toEqual(all);
    expect(JSON.parse(new TextDecoder().decode(files.get("evaluation.json")))).toEqual(figures);
  });
});
