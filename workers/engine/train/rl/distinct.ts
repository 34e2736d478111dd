/**
 * Distinct-2 (Li et al. 2016): different pairs of neighbouring tokens / all of them, over all texts together. 1: no pair
 * occurs twice; it falls when a policy collapses to one text. Null where no text has two tokens.
 */
export function distinct2(texts: readonly ArrayLike<number>[]): number | null {
  const seen = new Set<string>();
  let pairs = 0;
  for (const text of texts)
    for (let t = 1; t < text.length; t++) {
      seen.add(`${text[t - 1]} ${text[t]}`);
      pairs += 1;
    }
  return pairs === 0 ? null : seen.size / pairs;
}
