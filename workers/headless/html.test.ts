import { describe, expect, it } from "vitest";
import { DEFAULT_RUN } from "../../src/shared/protocol/defaults";
import type { RunEvent } from "../../src/shared/protocol/events";
import { reportHtml, stageCharts } from "./html";

const base = { run_id: "r", seq: 0, time: 0 };
const log = (step: number, loss: number): RunEvent => ({ ...base, type: "log", step, metrics: { loss, epoch: 1 } });
const evaluation: RunEvent = { ...base, type: "eval", step: 2, metrics: { eval_loss: 0.5, eval_auc: 0.9 } };

describe("stageCharts", () => {
  it("sets training and validation figures of a name together, the later of a repeated step", () => {
    const charts = stageCharts([log(1, 3), log(2, 2), evaluation, log(2, 1)]);
    // A single evaluation is no curve.
    expect(charts.map(({ title }) => title)).toEqual(["loss"]);
    expect(charts[0]?.svg.match(/<polyline/g)).toHaveLength(1);
    expect(charts[0]?.svg).toContain("eval_loss");
    expect(charts[0]?.svg.match(/points="([^"]*)"/)?.[1]?.split(" ")).toHaveLength(2);
  });
});

describe("reportHtml", () => {
  const rows = [
    {
      prompt: "<b>",
      texts: [
        {
          item: 0,
          prompt: "<b>",
          model: "ppo",
          text: "</td><script>alert(1)</script>",
          tokens: 1,
          finished: true,
          rewards: { reward: 1.5 },
          kl: 0.25,
          length: 1,
        },
      ],
    },
  ];
  const stage = {
    stage: "reward",
    id: "reward",
    metrics: { x_ci95_low: 1, x_ci95_high: 2 },
    seconds: 3,
    tokensPerSecond: 1,
  };
  const base = {
    name: "cyberagent/open-calm-small",
    license: "cc-by-sa-4.0",
    holder: "CyberAgent, Inc.",
    url: "https://huggingface.co/cyberagent/open-calm-small",
  };
  const page = reportHtml({
    report: { version: "1", adapter: "a", base, config: { ...DEFAULT_RUN, name: "a & b" }, stages: [stage] },
    events: new Map([["reward", [log(1, 3), log(2, 2)]]]),
    rows,
  });

  it("needs nothing from elsewhere", () => {
    expect(page).not.toMatch(/\b(src|href)=|@import|url\(|fetch\(/);
    expect(page).toContain("<svg");
  });
  it("names the base model, its authors and its licence", () => {
    expect(page).toContain("cyberagent/open-calm-small (CyberAgent, Inc.), CC BY-SA 4.0");
  });

  it("lets no text become markup", () => {
    expect(page).not.toContain("<script>alert");
    expect(page).toContain("&lt;/td&gt;&lt;script&gt;");
    expect(page).toContain("<title>a &amp; b – Nagi</title>");
  });
  it("has both languages, figures and texts", () => {
    expect(page.match(/lang="ja"/g)?.length).toBeGreaterThan(2);
    expect(page.match(/lang="en"/g)?.length).toBeGreaterThan(2);
    expect(page).toContain("[1, 2]");
    expect(page).toContain("reward 1.50 · KL 0.25");
  });
  it("begins with what came of it, and unfolds what is too long", () => {
    const metrics = {
      prompts: 12,
      reward_sft_mean: 0.5,
      reward_rlhf_mean: 1.25,
      reward_difference: 0.75,
      reward_difference_ci95_low: 0.25,
      reward_difference_ci95_high: 1.125,
      kl_nats: 2,
      distinct2_ratio: 0.9,
    };
    const evaluate = { ...stage, stage: "evaluate", id: "evaluate", metrics };
    const long = reportHtml({
      report: { version: "1", adapter: "a", base, config: DEFAULT_RUN, stages: [stage, evaluate] },
      events: new Map(),
      rows: Array.from({ length: 12 }, () => rows[0]).flatMap((row) => row ?? []),
    });
    expect(long).toContain("<td>0.50</td><td>1.25</td><td>0.75</td><td>[0.25, 1.13]</td>");
    expect(long.indexOf("[0.25, 1.13]")).toBeLessThan(long.indexOf("reward 1.50"));
    expect(long).toContain("The other 2");
    expect(page).not.toContain("What came of it");
  });
});
