import type { MetricSeries } from "../../stores/series";
import type { PlotReference } from "./plot";

/** Where the numbers come from. `read` is cheap and may be called every frame. */
export interface ChartSource {
  subscribe(listener: () => void): () => void;
  read(): {
    readonly series: MetricSeries;
    readonly references: readonly PlotReference[];
    readonly xMax: number;
  } | null;
}
