/** The texts of an evaluation, side by side: one row a prompt, and what the models' means are worth. Pure. */
import type { Generation } from "../../shared/protocol/artefact";
import type { Interval } from "../../shared/stats/binomial";
import { bootstrapItems } from "../../shared/stats/bootstrap";

export interface TextRow {
  readonly item: number;
  readonly prompt: string;
  readonly texts: Readonly<Record<string, Generation>>;
}

export interface Comparison {
  /** In the order of the evaluation; the first is the reference. */
  readonly models: readonly string[];
  readonly rewards: readonly string[];
  readonly rows: readonly TextRow[];
}

/** Groups the lines of generations.jsonl by prompt. */
export function compareTexts(generations: readonly Generation[]): Comparison {
  const models = [...new Set(generations.map(({ model }) => model))];
  const rewards = [...new Set(generations.flatMap((text) => Object.keys(text.rewards)))];
  const rows = new Map<number, TextRow>();
  for (const text of generations) {
    const row = rows.get(text.item);
    rows.set(text.item, {
      item: text.item,
      prompt: text.prompt,
      texts: { ...row?.texts, [text.model]: text },
    });
  }
  return { models, rewards, rows: [...rows.values()].sort((a, b) => a.item - b.item) };
}

export const rewardOf = (row: TextRow, model: string, reward: string): number | null =>
  row.texts[model]?.rewards[reward] ?? null;

/** Reward of a model's text minus the reference's on the same prompt; null where one is missing. */
export function differenceOf(row: TextRow, model: string, reference: string, reward: string): number | null {
  const [a, b] = [rewardOf(row, model, reward), rewardOf(row, reference, reward)];
  return a === null || b === null ? null : a - b;
}

export interface Mean {
  readonly mean: number;
  /** 95 % bootstrap interval over the prompts; null for fewer than two. */
  readonly interval: Interval | null;
  readonly count: number;
}

export interface ModelSummary {
  readonly model: string;
  readonly rewards: Readonly<Record<string, number | null>>;
  /** Against the first model on the same prompts; null for the first model itself. */
  readonly differences: Readonly<Record<string, Mean | null>> | null;
  readonly kl: number | null;
  readonly length: number | null;
  readonly tokens: number | null;
  /** Share of texts that did not end by themselves. */
  readonly cut_off: number | null;
}

/** @param seed of the evaluation's run: the same intervals as in its report */
export function summarise({ models, rewards, rows }: Comparison, seed: number): ModelSummary[] {
  const [reference = ""] = models;
  return models.map((model) => {
    const texts = rows.flatMap((row) => row.texts[model] ?? []);
    const mean = (pick: (text: Generation) => number | null) => meanOf(texts.map(pick));
    return {
      model,
      rewards: each(rewards, (reward) => mean((text) => text.rewards[reward] ?? null)),
      differences:
        model === reference
          ? null
          : each(rewards, (reward) =>
              intervalOf(
                rows.map((row) => differenceOf(row, model, reference, reward)),
                seed,
              ),
            ),
      kl: mean((text) => text.kl),
      length: mean((text) => text.length),
      tokens: mean((text) => text.tokens),
      cut_off: mean((text) => (text.finished ? 0 : 1)),
    };
  });
}

function each<T>(names: readonly string[], of: (name: string) => T): Record<string, T> {
  return Object.fromEntries(names.map((name) => [name, of(name)]));
}

/** Mean of what is there; null without a value. */
function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

function intervalOf(values: readonly (number | null)[], seed: number): Mean | null {
  const known = values.filter((value) => value !== null);
  const mean = meanOf(known);
  return mean === null ? null : { mean, interval: bootstrapItems(known, { seed }), count: known.length };
}

/** What an interval says about a difference. */
export function meaningOf(mean: Mean | null): "better" | "worse" | "unclear" {
  const interval = mean?.interval ?? null;
  if (interval === null) return "unclear";
  return interval.low > 0 ? "better" : interval.high < 0 ? "worse" : "unclear";
}

export type SortKey =
  | { readonly by: "item" }
  | { readonly by: "reward" | "difference"; readonly model: string; readonly reward: string }
  | { readonly by: "kl" | "length"; readonly model: string };

export interface TextFilter {
  readonly sort: SortKey;
  readonly descending: boolean;
  readonly search: string;
}

/** The rows that are shown, in order; rows without the value come last either way. */
export function selectRows({ models, rows }: Comparison, { sort, descending, search }: TextFilter): TextRow[] {
  const plain = (text: string) => text.normalize("NFKC").toLowerCase();
  const wanted = plain(search.trim());
  const [reference = ""] = models;
  const value = (row: TextRow): number | null => {
    switch (sort.by) {
      case "item":
        return row.item;
      case "reward":
        return rewardOf(row, sort.model, sort.reward);
      case "difference":
        return differenceOf(row, sort.model, reference, sort.reward);
      case "kl":
        return row.texts[sort.model]?.kl ?? null;
      case "length":
        return row.texts[sort.model]?.length ?? null;
    }
  };
  return rows
    .filter(
      (row) =>
        wanted === "" || Object.values(row.texts).some((text) => plain(`${text.prompt}${text.text}`).includes(wanted)),
    )
    .map((row) => ({ row, value: value(row) }))
    .sort((a, b) => {
      if (a.value === null || b.value === null) return Number(a.value === null) - Number(b.value === null);
      return (descending ? b.value - a.value : a.value - b.value) || a.row.item - b.row.item;
    })
    .map(({ row }) => row);
}
