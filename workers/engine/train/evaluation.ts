/** What models' texts say about the models: pure figures over generations. Keys and formulas: docs/metrics.md. */
import type { Generation } from "../../../src/shared/protocol/artefact";
import type { Metrics } from "../../../src/shared/protocol/events";
import { bootstrapItems } from "../../../src/shared/stats/bootstrap";
import { distinct2 } from "./rl/distinct";

/** The texts of one model, in the order of the prompts. */
export interface ModelTexts {
  readonly model: string;
  readonly generations: readonly Generation[];
  /** New tokens of each text, EOS left out. */
  readonly ids: readonly Int32Array[];
}

function mean(values: readonly (number | null | undefined)[]): number | null {
  const known = values.filter((value) => typeof value === "number");
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/**
 * Figures of every model, and of the last against the first: "sft" is the first, "rlhf" the last.
 * @param judges the reward models, the optimised one first
 * @param seed of the bootstrap
 */
export function evaluationFigures(models: readonly ModelTexts[], judges: readonly string[], seed: number): Metrics {
  const [first] = models;
  const last = models.at(-1);
  if (!first || !last) throw new RangeError("an evaluation needs a model");
  const metrics: Metrics = { prompts: first.generations.length };
  for (const { model, generations, ids } of models) {
    for (const judge of judges)
      metrics[`${model}/${judge}_mean`] = mean(generations.map(({ rewards }) => rewards[judge]));
    metrics[`${model}/kl_nats`] = mean(generations.map(({ kl }) => kl));
    metrics[`${model}/length_mean`] = mean(generations.map(({ length }) => length));
    metrics[`${model}/tokens_mean`] = mean(generations.map(({ tokens }) => tokens));
    metrics[`${model}/finished`] = mean(generations.map(({ finished }) => (finished ? 1 : 0)));
    metrics[`${model}/distinct2`] = distinct2(ids);
  }
  if (models.length === 1) return metrics;
  const [optimised, holdout] = judges;
  if (optimised !== undefined) Object.assign(metrics, comparison("reward", optimised, first, last, seed));
  if (holdout !== undefined) Object.assign(metrics, comparison("holdout_reward", holdout, first, last, seed));
  metrics.kl_nats = metrics[`${last.model}/kl_nats`] ?? null;
  const [before, after] = [distinct2(first.ids), distinct2(last.ids)];
  metrics.distinct2_ratio = before === null || after === null ? null : after / before;
  return metrics;
}

function comparison(key: string, judge: string, first: ModelTexts, last: ModelTexts, seed: number): Metrics {
  const rewards = ({ generations }: ModelTexts) => generations.map((one) => one.rewards[judge] ?? Number.NaN);
  const [before, after] = [rewards(first), rewards(last)];
  const differences = after.map((value, index) => value - (before[index] ?? Number.NaN));
  const interval = bootstrapItems(differences, { seed });
  return {
    [`${key}_sft_mean`]: mean(before),
    [`${key}_rlhf_mean`]: mean(after),
    [`${key}_difference`]: mean(differences),
    [`${key}_difference_ci95_low`]: interval?.low ?? null,
    [`${key}_difference_ci95_high`]: interval?.high ?? null,
  };
}

/** The files of an evaluation: generations.jsonl, evaluation.json. */
export function evaluationFiles(generations: readonly Generation[], metrics: Metrics): Map<string, Uint8Array> {
  const encode = (text: string) => new TextEncoder().encode(text);
  return new Map([
    ["generations.jsonl", encode(generations.map((one) => `${JSON.stringify(one)}\n`).join(""))],
    ["evaluation.json", encode(`${JSON.stringify(metrics, null, 2)}\n`)],
  ]);
}
