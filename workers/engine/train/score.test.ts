import { describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import type { Split } from "./rows";
import { batchLimits } from "./sampler";
import { fittingRuns } from "./score";

describe("fittingRuns", () => {
  it.each([
    ["binary", 1],
    ["binary", 5],
    ["pairwise", 1],
    ["pairwise", 4],
  ] as const)("%s, batches of %i: every text once, in order, within what the trainer was told", (objective, batch) => {
    const even = objective === "pairwise";
    for (let seed = 0; seed < 40; seed++) {
      const random = Random.seeded(seed);
      const lengths = Array.from({ length: 1 + random.below(30) }, () => 1 + random.below(seed % 2 ? 900 : 20));
      const limits = batchLimits(
        [{ lengths: Int32Array.from(lengths) } satisfies Pick<Split, "lengths">],
        objective,
        batch,
      );
      const runs = fittingRuns(lengths, limits, even);
      expect(runs.flatMap(([first, end]) => lengths.slice(first, end))).toEqual(lengths);
      for (const [first, end] of runs) {
        const some = lengths.slice(first, end);
        if (even && some.length % 2 !== 0) some.push(some[0] ?? 0);
        expect(some.length).toBeGreaterThan(0);
        expect(some.length).toBeLessThanOrEqual(limits.max_texts);
        expect(some.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(limits.max_tokens);
      }
    }
  });

  it("packs short texts together", () => {
    expect(fittingRuns([4, 4, 4, 4, 4], { max_tokens: 9, max_texts: 8 }, false)).toEqual([
      [0, 2],
      [2, 4],
      [4, 5],
    ]);
  });
});
