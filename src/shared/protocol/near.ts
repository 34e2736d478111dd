/** Suggestions for a mistyped name. */

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The `count` names nearest to `name`; a name whose last part alone is meant (`seed` for `a.b.seed`) comes first. */
export function nearNames(name: string, names: readonly string[], count = 3): string[] {
  const last = (path: string): string => path.slice(path.lastIndexOf(".") + 1);
  const score = (candidate: string): number =>
    Math.min(
      distance(name, candidate),
      distance(last(name), last(candidate)) + (last(candidate) === candidate ? 0 : 0.5),
    );
  return names
    .map((candidate) => ({ candidate, score: score(candidate) }))
    .sort((a, b) => a.score - b.score)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}
