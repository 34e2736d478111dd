/** Labels of sentiment data and what people write for them. */

export type Label = "positive" | "negative";

const SYNONYMS: Readonly<Record<string, Label>> = {
  positive: "positive",
  pos: "positive",
  "1": "positive",
  "1.0": "positive",
  true: "positive",
  肯定: "positive",
  肯定的: "positive",
  ポジティブ: "positive",
  negative: "negative",
  neg: "negative",
  "0": "negative",
  "0.0": "negative",
  false: "negative",
  否定: "negative",
  否定的: "negative",
  ネガティブ: "negative",
};

/** What messages list as allowed. */
export const LABEL_HELP = "positive/negative, 1/0, 肯定/否定, ポジティブ/ネガティブ";

/** A string, number or boolean as a label, or null. Case and surrounding spaces do not matter. */
export function parseLabel(value: unknown): Label | null {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return null;
  const key = String(value).trim().toLowerCase();
  return Object.hasOwn(SYNONYMS, key) ? (SYNONYMS[key] ?? null) : null;
}

/** Whether a value means something only by convention: some data sets number their labels the other way round. */
export function isNumericLabel(value: unknown): boolean {
  return typeof value === "number" || (typeof value === "string" && /^\s*[01](\.0)?\s*$/.test(value));
}
