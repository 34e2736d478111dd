/**
 * The curves of a run: one growable column of doubles per metric, sorted by step. Appending is amortised O(1) and never
 * copies what is there; a column is read as a view. A missing or non-finite value is NaN.
 */
import type { Metrics } from "../shared/protocol/events";

const FIRST_CAPACITY = 256;

export class MetricSeries {
  #capacity = FIRST_CAPACITY;
  #length = 0;
  readonly #columns = new Map<string, Float64Array>([
    ["step", new Float64Array(FIRST_CAPACITY)],
    ["time", new Float64Array(FIRST_CAPACITY)],
  ]);

  /** Number of rows. */
  get length(): number {
    return this.#length;
  }

  /** Names of all columns: "step", "time" (ms since the epoch), then the metric keys in the order they appeared. */
  keys(): string[] {
    return [...this.#columns.keys()];
  }

  /** A view of the column, `length` long, all NaN for a key that never appeared. Valid until the next write. */
  column(key: string): Float64Array {
    const column = this.#columns.get(key);
    return column === undefined ? new Float64Array(this.#length).fill(Number.NaN) : column.subarray(0, this.#length);
  }

  /** The newest finite value of a column, null where there is none. */
  last(key: string): number | null {
    const column = this.#columns.get(key);
    if (column === undefined) return null;
    for (let i = this.#length - 1; i >= 0; i--) {
      const value = column[i] ?? Number.NaN;
      if (Number.isFinite(value)) return value;
    }
    return null;
  }

  /** Adds a row, or replaces the whole row of the same step. */
  set(step: number, time: number, metrics: Metrics): void {
    const index = this.#rowFor(step);
    for (const [key, column] of this.#columns) {
      if (key === "step") column[index] = step;
      else if (key === "time") column[index] = time;
      else column[index] = metrics[key] ?? Number.NaN;
    }
    for (const [key, value] of Object.entries(metrics)) {
      if (this.#columns.has(key)) continue;
      const column = new Float64Array(this.#capacity).fill(Number.NaN);
      column[index] = value ?? Number.NaN;
      this.#columns.set(key, column);
    }
  }

  /** Drops every row after `step`: the run went back to the checkpoint of that step. */
  truncateAfter(step: number): void {
    this.#length = this.#lowerBound(step + 1);
  }

  /** Index of the first row with a step >= `step`. */
  #lowerBound(step: number): number {
    const steps = this.#columns.get("step");
    let low = 0;
    let high = this.#length;
    while (steps !== undefined && low < high) {
      const middle = (low + high) >>> 1;
      if ((steps[middle] ?? 0) < step) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #rowFor(step: number): number {
    const steps = this.#columns.get("step");
    const lastStep = this.#length === 0 ? Number.NEGATIVE_INFINITY : (steps?.[this.#length - 1] ?? 0);
    const index = step > lastStep ? this.#length : this.#lowerBound(step);
    if (index < this.#length && steps?.[index] === step) return index;
    if (this.#length === this.#capacity) this.#grow();
    if (index < this.#length)
      for (const column of this.#columns.values()) column.copyWithin(index + 1, index, this.#length);
    this.#length++;
    return index;
  }

  #grow(): void {
    this.#capacity *= 2;
    for (const [key, column] of this.#columns) {
      const larger = new Float64Array(this.#capacity);
      larger.set(column);
      if (key !== "step" && key !== "time") larger.fill(Number.NaN, column.length);
      this.#columns.set(key, larger);
    }
  }
}
