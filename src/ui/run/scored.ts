/** Scored texts, as the screens sort, filter and count them. */
import type { ScoredSample } from "../../shared/protocol/events";
import type { Bin } from "../charts/StillCharts";

export type SampleSort = "worst" | "high" | "low" | "original";
export const SAMPLE_SORTS: readonly SampleSort[] = ["worst", "high", "low", "original"];

export interface SampleFilter {
  readonly wrongOnly: boolean;
  readonly label: "all" | "positive" | "negative";
  readonly search: string;
  readonly sort: SampleSort;
  /** Rewards above it count as positive: 0 where the reward is a logit, else the run's own threshold. */
  readonly threshold: number;
}

/** How far the reward lies on the wrong side of the threshold; positive for a mistake. Missing rewards come first. */
export function error(sample: ScoredSample, threshold: number): number {
  if (sample.reward === null) return Number.POSITIVE_INFINITY;
  const signed = sample.reward - threshold;
  return sample.label === "positive" ? -signed : signed;
}

/** A reward on the threshold itself counts as negative, as in the engine's accuracy (positive only if above). */
export function isWrong(sample: ScoredSample, threshold: number): boolean {
  if (sample.reward === null) return true;
  return sample.reward > threshold !== (sample.label === "positive");
}

export function selectSamples(samples: readonly ScoredSample[], filter: SampleFilter): ScoredSample[] {
  const search = filter.search.trim().normalize("NFKC").toLowerCase();
  const kept = samples.filter(
    (sample) =>
      (!filter.wrongOnly || isWrong(sample, filter.threshold)) &&
      (filter.label === "all" || sample.label === filter.label) &&
      (search === "" || sample.sentence.normalize("NFKC").toLowerCase().includes(search)),
  );
  const missingLow = (sample: ScoredSample) => sample.reward ?? Number.NEGATIVE_INFINITY;
  switch (filter.sort) {
    case "worst":
      return kept.sort((a, b) => compare(error(b, filter.threshold), error(a, filter.threshold)));
    case "high":
      return kept.sort((a, b) => compare(missingLow(b), missingLow(a)));
    case "low":
      return kept.sort((a, b) => compare(missingLow(a), missingLow(b)));
    case "original":
      return kept.sort((a, b) => a.index - b.index);
  }
}

/** Rewards in `count` bins of equal width, [negative, positive] counts in each. Empty without a finite reward. */
export function distribution(samples: readonly ScoredSample[], count: number): Bin[] {
  const rewards = samples.flatMap((sample) => (sample.reward === null ? [] : [sample.reward]));
  if (rewards.length === 0) return [];
  const low = rewards.reduce((least, reward) => Math.min(least, reward));
  const high = rewards.reduce((most, reward) => Math.max(most, reward));
  const width = (high - low || 1) / count;
  const counts = Array.from({ length: count }, () => [0, 0]);
  for (const { reward, label } of samples) {
    if (reward === null) continue;
    const bin = counts[Math.min(count - 1, Math.floor((reward - low) / width))];
    const series = label === "positive" ? 1 : 0;
    if (bin !== undefined) bin[series] = (bin[series] ?? 0) + 1;
  }
  return counts.map((pair, i) => ({ low: low + i * width, high: low + (i + 1) * width, counts: pair }));
}

export function meanReward(samples: readonly ScoredSample[], label: ScoredSample["label"]): number | null {
  const rewards = samples.flatMap((sample) =>
    sample.label === label && sample.reward !== null ? [sample.reward] : [],
  );
  return rewards.length === 0 ? null : rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
