/**
 * Strengths of three or more models from comparisons of two: P(i beats j) = s_i / (s_i + s_j) (Bradley and Terry, 1952),
 * fitted by Hunter's MM algorithm (Annals of Statistics, 2004). A tie is half a win each.
 */
import { type Interval, Z95 } from "./binomial";

export interface Strength {
  /** log(s_i); the strengths of all models sum to zero. */
  readonly log_strength: number;
  readonly standard_error: number;
  /** 95 %, of the log strength, from the observed information (Wald). */
  readonly interval95: Interval;
}

export type BradleyTerry =
  | { readonly kind: "fitted"; readonly strengths: readonly Strength[] }
  /**
   * No finite strengths exist. "unconnected": the groups were never compared with each other. "unbeaten": the first group
   * never lost, not even half, to the others. Indexes of models.
   */
  | { readonly kind: "refused"; readonly reason: "unconnected" | "unbeaten"; readonly groups: readonly number[][] };

/** `wins[i][j]`: how often model i beat model j, ties as a half in both. Square, two models or more, diagonal ignored. */
export function bradleyTerry(wins: readonly (readonly number[])[]): BradleyTerry {
  const models = [...wins.keys()];
  if (models.length < 2 || wins.some((row) => row.length !== models.length))
    throw new RangeError("wins must be a square of two models or more");
  const won = (i: number, j: number): number => (i === j ? 0 : (wins[i]?.[j] ?? 0));
  const refused = refusal(models, won);
  if (refused) return refused;

  const totals = models.map((i) => models.reduce((sum, j) => sum + won(i, j), 0));
  let logs = models.map(() => 0);
  // The likelihood has one maximum and MM never steps away from it; 1e-13 is reached long before the bound.
  for (let step = 0; step < 1_000_000; step++) {
    const next = models.map((i) => {
      const load = models.reduce((sum, j) => {
        const met = won(i, j) + won(j, i);
        return met === 0 ? sum : sum + met / (1 + Math.exp((logs[j] ?? 0) - (logs[i] ?? 0)));
      }, 0);
      return (logs[i] ?? 0) + Math.log((totals[i] ?? 0) / load);
    });
    const mean = next.reduce((sum, value) => sum + value, 0) / models.length;
    const moved = Math.max(...models.map((i) => Math.abs((next[i] ?? 0) - mean - (logs[i] ?? 0))));
    logs = next.map((value) => value - mean);
    if (moved < 1e-14) break;
  }
  const variances = sumZeroVariances(models, won, logs);
  return {
    kind: "fitted",
    strengths: logs.map((log_strength, i) => {
      const standard_error = Math.sqrt(variances[i] ?? 0);
      const half = Z95 * standard_error;
      return { log_strength, standard_error, interval95: { low: log_strength - half, high: log_strength + half } };
    }),
  };
}

/** Ford's condition (1957): from every model a chain of wins leads to every other. */
function refusal(models: readonly number[], won: (i: number, j: number) => number): BradleyTerry | null {
  const reach = (start: number, step: (i: number, j: number) => boolean): Set<number> => {
    const seen = new Set([start]);
    for (const i of seen) for (const j of models) if (step(i, j)) seen.add(j);
    return seen;
  };
  const rest = (group: Set<number>): number[] => models.filter((i) => !group.has(i));
  const met = reach(0, (i, j) => won(i, j) + won(j, i) > 0);
  if (met.size < models.length) {
    const groups: number[][] = [];
    for (let left = [...models]; left.length > 0; ) {
      const group = reach(left[0] ?? 0, (i, j) => won(i, j) + won(j, i) > 0);
      groups.push(left.filter((i) => group.has(i)));
      left = left.filter((i) => !group.has(i));
    }
    return { kind: "refused", reason: "unconnected", groups };
  }
  for (const start of models) {
    // Everyone who beat `start`, directly or along a chain: nobody outside has ever beaten one of them.
    const above = reach(start, (i, j) => won(j, i) > 0);
    if (above.size < models.length)
      return { kind: "refused", reason: "unbeaten", groups: [models.filter((i) => above.has(i)), rest(above)] };
  }
  return null;
}

/** Diagonal of the inverse information of the log strengths under sum zero: inv(L + 11'/k) - 11'/k. */
function sumZeroVariances(models: readonly number[], won: (i: number, j: number) => number, logs: readonly number[]) {
  const size = models.length;
  const matrix = models.map(() => new Array<number>(size).fill(1 / size));
  for (const i of models)
    for (const j of models) {
      const row = matrix[i];
      if (i === j || !row) continue;
      const chance = 1 / (1 + Math.exp((logs[j] ?? 0) - (logs[i] ?? 0)));
      const weight = (won(i, j) + won(j, i)) * chance * (1 - chance);
      row[i] = (row[i] ?? 0) + weight;
      row[j] = (row[j] ?? 0) - weight;
    }
  return models.map((i) => (solve(matrix, i)[i] ?? Number.NaN) - 1 / size);
}

/** Column `column` of the inverse of a positive definite matrix (Gauss; no pivoting needed). */
function solve(matrix: readonly (readonly number[])[], column: number): number[] {
  const rows = matrix.map((row, i) => [...row, i === column ? 1 : 0]);
  for (const [at, pivot] of rows.entries())
    for (const [i, row] of rows.entries()) {
      if (i === at) continue;
      const factor = (row[at] ?? 0) / (pivot[at] ?? 1);
      for (let j = at; j < row.length; j++) row[j] = (row[j] ?? 0) - factor * (pivot[j] ?? 0);
    }
  return rows.map((row, i) => (row.at(-1) ?? 0) / (row[i] ?? 1));
}
