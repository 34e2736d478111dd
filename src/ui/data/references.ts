/** References of data sets and models (`bundled:NAME/SPLIT`, `imported:ID`), taken apart for display. */
import type { DatasetEntry, ModelEntry } from "../../shared/protocol/library";

export type Split = "train" | "validation" | "test";
export const SPLITS: readonly Split[] = ["train", "validation", "test"];

/** The data set that a reference of one of its splits belongs to. */
export function datasetOf(
  reference: string,
  datasets: readonly DatasetEntry[],
): { entry: DatasetEntry; split: Split } | null {
  for (const entry of datasets) {
    for (const split of SPLITS) if (entry.data[split] === reference) return { entry, split };
  }
  return null;
}

/** A reference as a person reads it; the bare reference where nothing is known about it (a deleted import). */
export function datasetLabel(
  reference: string | null,
  datasets: readonly DatasetEntry[],
  splitName: (split: Split) => string,
): string | null {
  if (reference === null) return null;
  const found = datasetOf(reference, datasets);
  return found === null ? reference.replace(/^bundled:/, "") : `${found.entry.name} / ${splitName(found.split)}`;
}

export function modelLabel(reference: string, models: readonly ModelEntry[]): string {
  return models.find((entry) => entry.reference === reference)?.name ?? reference.replace(/^(bundled|hub):/, "");
}

export function isImported(reference: string | null): boolean {
  return reference?.startsWith("imported:") ?? false;
}
