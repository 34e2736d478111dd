/** Time on the horizontal axis. */
import type { MetricSeries } from "../../stores/series";

/**
 * Seconds of work at each row since the first: the time between two rows, except where the run was taken up again in
 * between (it may have rested for days). Ascending.
 */
export function elapsedSeconds(series: MetricSeries, resumedAt: readonly number[]): Float64Array {
  const steps = series.column("step");
  const times = series.column("time");
  const result = new Float64Array(steps.length);
  for (let i = 1; i < steps.length; i++) {
    const [before, step] = [steps[i - 1] ?? 0, steps[i] ?? 0];
    const rested = resumedAt.some((resumed) => resumed >= before && resumed < step);
    const seconds = rested ? 0 : ((times[i] ?? 0) - (times[i - 1] ?? 0)) / 1000;
    result[i] = (result[i - 1] ?? 0) + Math.max(0, seconds);
  }
  return result;
}
