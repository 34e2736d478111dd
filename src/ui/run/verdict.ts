/**
 * What the accuracy is worth, said in words. A model that answers "positive" to everything can look good, and counting
 * character n-grams is a strong opponent on short reviews: only what beats both has learned something about language.
 */
export type Verdict = "waiting" | "above_both" | "below_ngram" | "below_majority";

/** A tie counts as not above: `accuracy` has to be larger. */
export function verdict(accuracy: number | null, majority: number | null, ngram: number | null): Verdict {
  if (accuracy === null || majority === null || ngram === null) return "waiting";
  if (!(accuracy > majority)) return "below_majority";
  if (!(accuracy > ngram)) return "below_ngram";
  return "above_both";
}
