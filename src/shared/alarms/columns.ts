/** Metrics over steps as the checks read them: one column a key. */
import type { Metrics } from "../protocol/events";
import { pearson } from "../stats/correlation";

export interface MetricColumns {
  /** Values by row, NaN where a row has none; "step" holds the steps, ascending. */
  column(key: string): ArrayLike<number>;
}

/** Columns of a run's log or eval events, for callers that have rows (the report). Rows ascend by step. */
export function columnsOf(rows: readonly { readonly step: number; readonly metrics: Metrics }[]): MetricColumns {
  return {
    column: (key) => rows.map((row) => (key === "step" ? row.step : (row.metrics[key] ?? Number.NaN))),
  };
}

/** Mean of the finite values in [from, to), null where there is none. */
export function meanOf(values: ArrayLike<number>, from: number, to: number): number | null {
  let sum = 0;
  let count = 0;
  for (let i = Math.max(0, from); i < Math.min(values.length, to); i++) {
    const value = values[i] ?? Number.NaN;
    if (!Number.isFinite(value)) continue;
    sum += value;
    count++;
  }
  return count === 0 ? null : sum / count;
}

/** Pearson's r over the rows in [from, to) where both are finite; null for fewer than three or a constant side. */
export function correlationOf(a: ArrayLike<number>, b: ArrayLike<number>, from: number, to: number): number | null {
  const x: number[] = [];
  const y: number[] = [];
  for (let i = Math.max(0, from); i < to; i++) {
    const [p, q] = [a[i] ?? Number.NaN, b[i] ?? Number.NaN];
    if (!Number.isFinite(p) || !Number.isFinite(q)) continue;
    x.push(p);
    y.push(q);
  }
  return x.length < 3 ? null : pearson(x, y);
}
