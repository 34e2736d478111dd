/**
 * report.html: one file with everything in it, that opens without a server. Japanese and English stand side by side in
 * it, one of them shown; colours follow the reader's light or dark. Pure: figures in, text out.
 */
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
const NO_CURVE = new Set(["epoch", "num_tokens", "tokens_per_second", "episode", "eps", "lr"]);

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
    const svg = lineChart(title, lines);
    const legend = lines.map(({ name }, index) => `<i class="key${index}"></i>${escapeHtml(name)}`).join(" ");
    return svg === "" ? [] : [{ title, svg: `<figure><figcaption>${legend}</figcaption>${svg}</figure>` }];
  });
}

const number = (value: number | null): string =>
  value === null ? "–" : Number.isInteger(value) ? value.toLocaleString("en") : value.toPrecision(4);

function figures(metrics: RunReport["stages"][number]["metrics"]): string {
  const rows = Object.entries(withIntervals(metrics)).map(([key, value]) => {
    const shown = typeof value === "object" && value !== null ? `[${value.map(number).join(", ")}]` : number(value);
    return `<tr><th scope="row">${escapeHtml(key)}</th><td>${shown}</td></tr>`;
  });
  return `<table class="figures"><tbody>${rows.join("")}</tbody></table>`;
}

function texts(rows: readonly TextRow[]): string {
  const models = rows[0]?.texts.map(({ model }) => model) ?? [];
  const head = models.map((model) => `<th scope="col">${escapeHtml(model)}</th>`).join("");
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
  const caption = both("同じ書き出しへの続き", "What each model wrote on from the same beginning");
  return `<h2>${caption}</h2><table class="texts"><thead><tr><th></th>${head}</tr></thead><tbody>${body.join("")}</tbody></table>`;
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
thead th{font-weight:600}.figures{max-width:560px}.figures td{text-align:right;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}.texts th[scope=row]{white-space:nowrap}.texts td{min-width:240px}
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
  const { config, stages, adapter, version } = report;
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
<body><header><div><h1>${escapeHtml(config.name)}</h1><p class="soft">${both("シード", "Seed")} ${config.seed} · ${escapeHtml(adapter)} · Nagi ${escapeHtml(version)} · ${seconds.toFixed(0)} s</p></div><button id="language">日本語 / English</button></header>
${rows.length > 0 ? `<section class="scroll">${texts(rows)}</section>` : ""}${sections.join("")}${settings}
<script>${SCRIPT}</script></body></html>
`;
}
