/**
 * report.html: one file with everything in it, that opens without a server. Japanese and English stand side by side in
 * it, one of them shown; colours follow the reader's light or dark. Pure: figures in, text out.
 */
import { creditLine } from "../../src/shared/credit";
import type { RunEvent } from "../../src/shared/protocol/events";
import { type ChartLine, escapeHtml, lineChart } from "./charts";
import { type RunReport, type TextRow, withIntervals } from "./report";

/** A stage's curves come from its events. */
export interface HtmlInput {
  readonly report: RunReport;
  /** By stage id. */
  readonly events: ReadonlyMap<string, readonly RunEvent[]>;
  readonly rows: readonly TextRow[];
}

const both = (ja: string, en: string): string => `<span lang="ja">${ja}</span><span lang="en">${en}</span>`;

const STAGES: Readonly<Record<string, string>> = {
  sft: both("教師ありの追加学習（SFT）", "Supervised fine-tuning"),
  reward: both("報酬モデル", "Reward model"),
  merge: both("アダプターの統合", "Merging the adapter"),
  ppo: both("強化学習（PPO）", "Reinforcement learning (PPO)"),
  dpo: both("選好の直接最適化（DPO）", "Direct preference optimisation"),
  evaluate: both("評価", "Evaluation"),
};

/** Counters and clocks: not worth a curve. */
const NO_CURVE = new Set(["epoch", "num_tokens", "padding_share", "tokens_per_second", "episode", "eps", "lr"]);

/** Curves of a stage: a training figure and the validation figure of the same name share a chart. */
export function stageCharts(events: readonly RunEvent[]): { readonly title: string; readonly svg: string }[] {
  const charts = new Map<string, ChartLine[]>();
  // A step may have been done twice, before and after a resume: the later one counts.
  for (const type of ["log", "eval"] as const) {
    const series = new Map<string, Map<number, number>>();
    for (const event of events) {
      if (event.type !== type) continue;
      for (const [key, value] of Object.entries(event.metrics)) {
        if (NO_CURVE.has(key) || value === null) continue;
        const points = series.get(key) ?? new Map<number, number>();
        series.set(key, points.set(event.step, value));
      }
    }
    for (const [key, points] of series) {
      const title = key.replace(/^eval_/, "");
      const line = { name: key, points: [...points].sort((a, b) => a[0] - b[0]) };
      charts.set(title, [...(charts.get(title) ?? []), line]);
    }
  }
  return [...charts].flatMap(([title, lines]) => {
    // A single figure is no curve; the table has it.
    if (lines.every(({ points }) => points.length < 2)) return [];
    const svg = lineChart(title, lines);
    const legend = lines.map(({ name }, index) => `<i class="key${index}"></i>${escapeHtml(name)}`).join(" ");
    return svg === "" ? [] : [{ title, svg: `<figure><figcaption>${legend}</figcaption>${svg}</figure>` }];
  });
}

/** Texts that are on the page at once; the others unfold. */
const SHOWN_TEXTS = 10;

const number = (value: number | null): string =>
  value === null ? "–" : Number.isInteger(value) ? value.toLocaleString("en") : value.toPrecision(4);

const signed = (value: number | null): string => (value === null ? "–" : value.toFixed(2));

function figures(metrics: RunReport["stages"][number]["metrics"]): string {
  const rows = Object.entries(withIntervals(metrics)).map(([key, value]) => {
    const shown = typeof value === "object" && value !== null ? `[${value.map(number).join(", ")}]` : number(value);
    return `<tr><th scope="row">${escapeHtml(key)}</th><td>${shown}</td></tr>`;
  });
  const half = Math.ceil(rows.length / 2);
  const table = (some: readonly string[]): string => `<table><tbody>${some.join("")}</tbody></table>`;
  return `<div class="figures">${table(rows.slice(0, half))}${table(rows.slice(half))}</div>`;
}

function texts(rows: readonly TextRow[]): string {
  const models = rows[0]?.texts.map(({ model }) => model) ?? [];
  const heads = models.map((model) => `<th scope="col">${escapeHtml(model)}</th>`).join("");
  const head = `<thead><tr><th scope="col">${both("書き出し", "Prompt")}</th>${heads}</tr></thead>`;
  const body = rows.map(({ prompt, texts: written }) => {
    const cells = written.map(({ text, rewards, kl }) => {
      const judged = Object.entries(rewards).map(
        ([name, reward]) => `${escapeHtml(name)} ${reward?.toFixed(2) ?? "–"}`,
      );
      const facts = [...judged, ...(kl === null ? [] : [`KL ${kl.toFixed(2)}`])].join(" · ");
      return `<td><p>${escapeHtml(text)}</p><small>${facts}</small></td>`;
    });
    return `<tr><th scope="row">${escapeHtml(prompt)}</th>${cells.join("")}</tr>`;
  });
  const table = (some: readonly string[]): string =>
    `<div class="scroll"><table class="texts">${head}<tbody>${some.join("")}</tbody></table></div>`;
  const caption = both("同じ書き出しへの続き", "What each model wrote on from the same beginning");
  const rest = body.slice(SHOWN_TEXTS);
  const more = both(`残りの ${rest.length} 件`, `The other ${rest.length}`);
  const hidden = rest.length === 0 ? "" : `<details><summary>${more}</summary>${table(rest)}</details>`;
  return `<h2>${caption}</h2>${table(body.slice(0, SHOWN_TEXTS))}${hidden}`;
}

/** What the whole pipeline came to, before all details; empty where no evaluation compared two models. */
function answer(stages: RunReport["stages"]): string {
  const metrics = stages.findLast(({ stage }) => stage === "evaluate")?.metrics ?? {};
  const of = (key: string): number | null => metrics[key] ?? null;
  if (of("reward_difference") === null) return "";
  const row = (name: string, prefix: string): string => {
    const cells = [of(`${prefix}_sft_mean`), of(`${prefix}_rlhf_mean`), of(`${prefix}_difference`)].map(signed);
    const ends = [of(`${prefix}_difference_ci95_low`), of(`${prefix}_difference_ci95_high`)].map(signed);
    return `<tr><th scope="row">${name}</th>${[...cells, `[${ends.join(", ")}]`].map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  };
  const trained = row(both("PPO が見た報酬モデル", "Reward model that PPO saw"), "reward");
  const judge =
    of("holdout_reward_difference") === null
      ? ""
      : row(both("別のデータで学んだ報酬モデル", "Reward model from other data"), "holdout_reward");
  const heads = ["SFT", "RLHF", both("差", "Difference"), both("95 % 信頼区間", "95 % interval")];
  const facts = both(
    `${number(of("prompts"))} 個の書き出し · KL ${signed(of("kl_nats"))} nats/文 · distinct-2 は SFT の ${signed(of("distinct2_ratio"))} 倍`,
    `${number(of("prompts"))} prompts · KL ${signed(of("kl_nats"))} nats a text · distinct-2 is ${signed(of("distinct2_ratio"))} of SFT's`,
  );
  return `<section><h2>${both("結果", "What came of it")}</h2><div class="scroll"><table class="answer"><thead><tr><th scope="col">${both("平均報酬", "Mean reward")}</th>${heads
    .map((head) => `<th scope="col">${head}</th>`)
    .join("")}</tr></thead><tbody>${trained}${judge}</tbody></table></div><p class="soft">${facts}</p></section>`;
}

const STYLE = `
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2530;--soft:#5b6775;--rule:#dde3ea;--a:#1769aa;--b:#c2571a}
@media (prefers-color-scheme:dark){:root{--bg:#12171d;--fg:#e6ebf0;--soft:#9aa7b4;--rule:#2b353f;--a:#6cb4f0;--b:#f0a36c}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1080px;padding:24px;background:var(--bg);color:var(--fg);font:15px/1.6 system-ui,"Hiragino Sans","Noto Sans JP",sans-serif}
html[lang=ja] [lang=en],html[lang=en] [lang=ja]{display:none}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-top:1px solid var(--rule);padding-top:1.2rem}
p,small{margin:0}small,.soft{color:var(--soft)}
button{font:inherit;color:inherit;background:none;border:1px solid var(--rule);border-radius:6px;padding:2px 10px;cursor:pointer}
header{display:flex;justify-content:space-between;gap:16px;align-items:start;flex-wrap:wrap}
table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid var(--rule);padding:5px 8px;text-align:left;vertical-align:top;font-weight:400}
thead th{font-weight:600}.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:0 28px;align-items:start}.figures th{overflow-wrap:anywhere}.figures td,.answer td,.answer thead th+th{text-align:right;font-variant-numeric:tabular-nums}.answer td{font-weight:600}
summary{cursor:pointer;padding:8px 0}
.scroll{overflow-x:auto}.texts th[scope=row]{white-space:nowrap}.texts td{min-width:240px}@media (max-width:600px){body{padding:16px}.texts th[scope=row]{white-space:normal;min-width:84px}}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:14px;margin:10px 0}
figure{margin:0}figcaption{color:var(--soft);font-size:.85rem}figcaption i{display:inline-block;width:14px;height:3px;margin:0 5px 3px 0;background:var(--a)}figcaption .key1{background:var(--b)}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:11px}.grid{stroke:var(--rule)}
polyline{fill:none;stroke:var(--a);stroke-width:1.6;stroke-linejoin:round}circle{fill:var(--a)}polyline.line1{stroke:var(--b)}circle.line1{fill:var(--b)}`;

const SCRIPT = `
const root=document.documentElement;const show=(l)=>{root.lang=l;};
show((navigator.language||"ja").startsWith("ja")?"ja":"en");
document.getElementById("language").addEventListener("click",()=>show(root.lang==="ja"?"en":"ja"));`;

/** The whole page. */
export function reportHtml({ report, events, rows }: HtmlInput): string {
  const { config, stages, adapter, version, base } = report;
  const { url } = base;
  const origin = `${creditLine(base)}${url === null ? "" : ` (${url})`}`;
  const seconds = stages.reduce((sum, stage) => sum + stage.seconds, 0);
  const sections = stages.map(({ id, stage, metrics, seconds: own }) => {
    const charts = stageCharts(events.get(id) ?? []).map(({ svg }) => svg);
    const title = `${STAGES[stage] ?? escapeHtml(stage)} <small>${escapeHtml(id)} · ${own.toFixed(0)} s</small>`;
    return `<section><h2>${title}</h2>${figures(metrics)}<div class="charts">${charts.join("")}</div></section>`;
  });
  const settings = `<details><summary>${both("設定", "Configuration")}</summary><pre>${escapeHtml(JSON.stringify(config, null, 2))}</pre></details>`;
  return `<!doctype html>
<html lang="ja"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeHtml(config.name)} – Nagi</title><style>${STYLE}</style></head>
<body><header><div><h1>${escapeHtml(config.name)}</h1><p class="soft">${both("シード", "Seed")} ${config.seed} · ${escapeHtml(adapter)} · Nagi ${escapeHtml(version)} · ${seconds.toFixed(0)} s</p><p class="soft">${both("もとのモデル", "Base model")}: ${escapeHtml(origin)}</p></div><button id="language">日本語 / English</button></header>
${answer(stages)}${rows.length > 0 ? `<section>${texts(rows)}</section>` : ""}${sections.join("")}${settings}
<script>${SCRIPT}</script></body></html>
`;
}
