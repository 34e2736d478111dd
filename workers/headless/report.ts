/** What a finished run says: report.json, the stages' figures and the table of texts. Pure: figures in, text out. */
import type { ModelCredit } from "../../src/shared/credit";
import type { Generation } from "../../src/shared/protocol/artefact";
import type { RunConfig } from "../../src/shared/protocol/config";
import type { Metrics } from "../../src/shared/protocol/events";

/** One entry of report.json's `stages`. */
export interface StageReport {
  readonly stage: string;
  readonly id: string;
  readonly metrics: Metrics;
  readonly seconds: number;
  readonly tokensPerSecond: number;
}

type Reported = number | null | readonly [low: number | null, high: number | null];

const LOW = "_ci95_low";

/** Metrics are numbers; an interval's two ends become one entry, `NAME_ci95: [low, high]`. */
export function withIntervals(metrics: Metrics): Record<string, Reported> {
  const reported: Record<string, Reported> = {};
  for (const [key, value] of Object.entries(metrics)) {
    if (key.endsWith("_ci95_high")) continue;
    if (!key.endsWith(LOW)) reported[key] = value;
    else {
      const name = key.slice(0, -"_low".length);
      reported[name] = [value, metrics[`${name}_high`] ?? null];
    }
  }
  return reported;
}

export interface RunReport {
  readonly version: string;
  readonly adapter: string;
  /** The model that all of it is built on. */
  readonly base: ModelCredit;
  readonly config: RunConfig;
  readonly stages: readonly StageReport[];
}

/** The text of report.json. */
export function reportJson({ version, adapter, base, config, stages }: RunReport): string {
  const listed = stages.map((stage) => ({ ...stage, metrics: withIntervals(stage.metrics) }));
  return `${JSON.stringify({ version, adapter, base_model: base, seed: config.seed, config, stages: listed }, null, 2)}\n`;
}

const figure = (value: number | null): string =>
  value === null ? "-" : Number.isInteger(value) ? String(value) : value.toPrecision(4);

const shown = (value: Reported): string =>
  Array.isArray(value) ? `[${value.map(figure).join(", ")}]` : figure(value as number | null);

/** Markdown: a heading and a table of figures a stage. */
export function figuresMarkdown(stages: readonly StageReport[]): string {
  return stages
    .map(({ id, stage, metrics, seconds }) => {
      const rows = Object.entries(withIntervals(metrics)).map(([key, value]) => `| ${key} | ${shown(value)} |`);
      return [`## ${id} (${stage}, ${seconds.toFixed(0)} s)`, "", "| figure | value |", "|---|---|", ...rows, ""].join(
        "\n",
      );
    })
    .join("\n");
}

/** A prompt with what each model wrote. */
export interface TextRow {
  readonly prompt: string;
  /** By model, in the order of the evaluation. */
  readonly texts: readonly Generation[];
}

/** The generations of an evaluation by prompt, in the order of the file. */
export function textRows(generations: readonly Generation[]): TextRow[] {
  const rows = new Map<number, { prompt: string; texts: Generation[] }>();
  for (const generation of generations) {
    const row = rows.get(generation.item);
    if (row) row.texts.push(generation);
    else rows.set(generation.item, { prompt: generation.prompt, texts: [generation] });
  }
  return [...rows.values()];
}

/** Names as the walk-through has them: what the first model is to the others. */
const columnName = (model: string, index: number, models: readonly string[]): string =>
  models.length === 2 ? `${index === 0 ? "SFT" : "RLHF"} (${model})` : model;

const cell = (text: string): string => text.replaceAll("|", "\\|").replace(/\s*\n\s*/g, " ");

/** Markdown: prompts with every model's continuation and its rewards. */
export function textsMarkdown(rows: readonly TextRow[], count: number): string {
  const models = rows[0]?.texts.map(({ model }) => model) ?? [];
  const judges = Object.keys(rows[0]?.texts[0]?.rewards ?? {});
  const columns = models.flatMap((model, index) => {
    const name = columnName(model, index, models);
    return [name, ...judges.map((judge) => `${judge}: ${name}`)];
  });
  const lines = rows.slice(0, count).map(({ prompt, texts }) => {
    const cells = texts.flatMap(({ text, rewards }) => [
      cell(text),
      ...judges.map((judge) => rewards[judge]?.toFixed(2) ?? "-"),
    ]);
    return `| ${[cell(prompt), ...cells].join(" | ")} |`;
  });
  const rule = `|---|${models.map(() => `---|${judges.map(() => "---:|").join("")}`).join("")}`;
  return [`| prompt | ${columns.join(" | ")} |`, rule, ...lines, ""].join("\n");
}
