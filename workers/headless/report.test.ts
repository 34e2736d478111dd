import { describe, expect, it } from "vitest";
import type { Generation } from "../../src/shared/protocol/artefact";
import { DEFAULT_RUN } from "../../src/shared/protocol/defaults";
import { figuresMarkdown, reportJson, textRows, textsMarkdown, withIntervals } from "./report";

const generation = (item: number, model: string, text: string, reward: number): Generation => ({
  item,
  prompt: `p${item}`,
  model,
  text,
  tokens: 3,
  finished: true,
  rewards: { reward, judge: null },
  kl: 0,
  length: text.length,
});
const stage = {
  stage: "evaluate",
  id: "evaluate",
  metrics: { prompts: 2, x_ci95_low: -0.5, x_ci95_high: 1.25, kl_nats: null },
  seconds: 12.6,
  tokensPerSecond: 0,
};

describe("reports", () => {
  it("join the ends of intervals", () => {
    expect(withIntervals(stage.metrics)).toEqual({ prompts: 2, x_ci95: [-0.5, 1.25], kl_nats: null });
    const base = { name: "b", license: "mit", holder: null, url: null };
    const report = JSON.parse(reportJson({ version: "1", adapter: "a", base, config: DEFAULT_RUN, stages: [stage] }));
    expect(report).toMatchObject({
      base_model: base,
      seed: 0,
      stages: [{ stage: "evaluate", metrics: { x_ci95: [-0.5, 1.25] } }],
    });
  });

  it("list figures", () => {
    const text = figuresMarkdown([stage]);
    expect(text).toContain("## evaluate (evaluate, 13 s)");
    expect(text).toContain("| x_ci95 | [-0.5000, 1.250] |");
    expect(text).toContain("| kl_nats | - |");
  });

  it("set texts side by side, whatever is in them", () => {
    const rows = textRows([
      generation(0, "merge", "a|b", 1),
      generation(1, "merge", "c", 2),
      generation(0, "ppo", "d\ne", 3.456),
      generation(1, "ppo", "f", 4),
    ]);
    const lines = textsMarkdown(rows, 1).trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^\| prompt \| SFT \(merge\) \| reward: SFT \(merge\) \|.*\| RLHF \(ppo\) \|/);
    expect(lines[2]).toBe("| p0 | a\\|b | 1.00 | - | d e | 3.46 | - |");
    const columns = (line: string | undefined) => (line ?? "").replaceAll("\\|", "").split("|").length;
    expect(new Set(lines.map(columns)).size).toBe(1);
  });
});
