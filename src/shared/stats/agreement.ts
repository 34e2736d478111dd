/** How far raters agree beyond chance. Counts are [items][categories]: how many raters put an item into a category. */

export type Counts = readonly (readonly number[])[];

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

function columnSums(counts: Counts): number[] {
  const sums: number[] = [];
  for (const row of counts) for (const [at, count] of row.entries()) sums[at] = (sums[at] ?? 0) + count;
  return sums;
}

/**
 * Fleiss' kappa (1971) of items that were all rated by the same number of raters (throws RangeError where they were not).
 * Null without items, with one rater, or if every vote is in one category: chance would agree as well.
 */
export function fleissKappa(counts: Counts): number | null {
  const raters = total(counts[0] ?? []);
  if (counts.length === 0 || raters < 2) return null;
  let agreed = 0;
  for (const row of counts) {
    if (total(row) !== raters) throw new RangeError(`${total(row)} votes on an item, ${raters} on the first`);
    agreed += total(row.map((count) => count * (count - 1)));
  }
  const observed = agreed / (counts.length * raters * (raters - 1));
  const chance = total(columnSums(counts).map((sum) => (sum / (counts.length * raters)) ** 2));
  return chance === 1 ? null : (observed - chance) / (1 - chance);
}

/**
 * Krippendorff's alpha for nominal categories, any number of votes an item (Krippendorff, Content Analysis, chapter 12).
 * Items with fewer than two votes say nothing about agreement and are left out. Null where no two votes meet on an item
 * or all that do are in one category.
 */
export function krippendorffAlpha(counts: Counts): number | null {
  const paired = counts.filter((row) => total(row) >= 2);
  const values = columnSums(paired);
  const all = total(values);
  const expected = all * all - total(values.map((value) => value * value));
  if (expected === 0) return null;
  let disagreed = 0;
  for (const row of paired) {
    const votes = total(row);
    disagreed += (votes * votes - total(row.map((count) => count * count))) / (votes - 1);
  }
  return 1 - ((all - 1) * disagreed) / expected;
}
