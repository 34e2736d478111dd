import type { Values } from "./decimate";

/**
 * Exponential moving average with bias correction (as TensorBoard draws it): s_t = Σ w^(t-i) x_i / Σ w^(t-i).
 * `weight` in [0, 1). Missing values stay missing and are skipped by the average.
 */
export function smooth(values: Values, weight: number): Float64Array {
  let sum = 0;
  let norm = 0;
  const result = new Float64Array(values.length).fill(Number.NaN);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? Number.NaN;
    if (!Number.isFinite(value)) continue;
    sum = sum * weight + value;
    norm = norm * weight + 1;
    result[i] = sum / norm;
  }
  return result;
}
