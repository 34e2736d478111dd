/** What the harness cannot show of sampling: its distribution, and that transformers' warpers keep the same tokens. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { z } from "zod";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { OpRunner } from "./harness";
import { keptTokens, philox, sampleToken } from "./sample-token";

const expectations = z
  .object({
    warpers: z.array(
      z.object({
        temperature: z.number(),
        top_k: z.int(),
        top_p: z.number(),
        logits: z.array(z.number()),
        kept: z.array(z.int()),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL("../golden/generate.json", import.meta.url), "utf8")));

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

/** How often each token comes in `draws` texts with the same logits. */
async function counts(
  logits: readonly number[],
  settings: readonly [temperature: number, top_k: number, top_p: number],
  draws: number,
): Promise<number[]> {
  const V = logits.length;
  const runner = new OpRunner(gpu, sampleToken, { B: draws, V, N: 1, limits: 1 }, gpu.capabilities);
  const { values } = await runner.forward({
    logits: Float64Array.from({ length: draws * V }, (_, i) => logits[i % V] ?? Number.NaN),
    settings: Float64Array.from(settings),
    texts: Float64Array.from(Array.from({ length: draws }, (_, text) => [17, -5, text, -1, 1, 0]).flat()),
    token: new Float64Array(draws),
    position: new Float64Array(draws).fill(6),
    ids: new Float64Array(draws),
    logprobs: new Float64Array(draws),
  });
  runner.destroy();
  const found = new Array<number>(V).fill(0);
  for (const id of values.ids ?? []) found[id] = (found[id] ?? 0) + 1;
  return found;
}

test("Philox 4x32-10 gives its authors' numbers", () => {
  expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
  const ones = 0xffff_ffff;
  expect(philox([ones, ones, ones, ones], [ones, ones])).toEqual([0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
});

describe("frequencies", () => {
  // 99.9 % quantiles of chi-square with 11 and with 5 degrees of freedom.
  it.each([
    ["the softmax of logits / temperature", [1.3, 0, 1], 12, 31.264],
    ["what top-k and top-p leave of it, renormalised", [1.3, 8, 0.9], 6, 20.515],
  ] as const)("are those of %s", async (_, settings, size, quantile) => {
    const logits = Array.from({ length: 12 }, (__, i) => 2 * Math.sin(1.7 * i));
    const [temperature, top_k, top_p] = settings;
    const scores = Float64Array.from(logits, (logit) => logit / temperature);
    const kept = keptTokens(scores, top_k, top_p);
    expect(kept.length).toBe(size);
    const masses = kept.map((i) => Math.exp(scores[i] ?? Number.NaN));
    const total = masses.reduce((sum, mass) => sum + mass, 0);
    const draws = 20_000;
    const found = await counts(logits, settings, draws);
    let statistic = 0;
    kept.forEach((token, i) => {
      const wanted = (draws * (masses[i] ?? Number.NaN)) / total;
      statistic += ((found[token] ?? Number.NaN) - wanted) ** 2 / wanted;
    });
    expect(kept.reduce((sum, token) => sum + (found[token] ?? 0), 0)).toBe(draws);
    expect(statistic < quantile, `chi-square ${statistic}`).toBe(true);
    // Numbers that were too even would be no random ones either.
    expect(statistic).toBeGreaterThan(0.3);
  });
});

describe("top-k and top-p keep what transformers' warpers keep", () => {
  for (const { temperature, top_k, top_p, logits, kept } of expectations.warpers)
    it(`temperature ${temperature}, top_k ${top_k}, top_p ${top_p}`, async () => {
      const scores = Float64Array.from(logits, (logit) => logit / temperature);
      expect(keptTokens(scores, top_k, top_p)).toEqual(kept);
      const found = await counts(logits, [temperature, top_k, top_p], 20_000);
      expect([...found.keys()].filter((token) => (found[token] ?? 0) > 0)).toEqual(kept);
    });
});
