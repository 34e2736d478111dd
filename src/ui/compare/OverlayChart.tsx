/** One metric of several runs, laid over one another. PlotCurve outside React like every chart: data comes in by the frame. */
import { Text } from "@mantine/core";
import { useEffect, useId, useRef } from "react";
import { useTranslation } from "react-i18next";
import type { RunDetail } from "../../stores/run-detail";
import { useRuns } from "../../stores/runs";
import { lowerBound, type Values } from "../charts/decimate";
import { isMetric, METRICS, styleOf } from "../charts/metrics";
import { createPlot, type PlotCurve, type PlotLine, type PlotReference } from "../charts/plot";
import { smooth } from "../charts/smooth";
import { createDrawLoop } from "../charts/throttle";
import { useFormat } from "../common/use-format";
import { elapsedSeconds } from "./elapsed";
import "uplot/dist/uPlot.min.css";
import "../charts/charts.css";

export interface OverlayRun {
  readonly runId: string;
  readonly name: string;
  /** Name of a CSS custom property. */
  readonly color: string;
}

export interface OverlayChartProps {
  readonly metric: string;
  readonly runs: readonly OverlayRun[];
  readonly axis: "step" | "time";
  readonly log: boolean;
  /** Weight of the moving average drawn over the raw line; 0: none. */
  readonly smoothing: number;
}

const NO_LINES: readonly PlotReference[] = [];
const HEIGHT = 260;

export function OverlayChart({ metric, runs, axis, log, smoothing }: OverlayChartProps) {
  const { t } = useTranslation();
  const { count, duration } = useFormat();
  const canvas = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLDivElement>(null);
  const titleId = useId();
  const title = isMetric(metric) ? t(`metrics.${METRICS[metric].slug}.label`) : metric;

  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const { format, formatTick, range } = styleOf(metric);
    const smoothed = smoothing > 0;
    const lines = runs.flatMap(({ name, color }): PlotLine[] =>
      smoothed
        ? [
            { label: name, color, width: 1, opacity: 0.35 },
            { label: name, color, width: 2.25 },
          ]
        : [{ label: name, color, width: 1.5 }],
    );
    const writeX = (x: number) => (axis === "time" ? duration(x) : Number.isInteger(x) ? count(x) : "");
    let drawn: readonly PlotCurve[] = [];
    let cursor: number | null = null;

    const writeReadout = (): void => {
      const values = drawn.map(({ x, lines: own }) => {
        const column = own.at(-1) ?? [];
        return cursor === null ? lastFinite(column) : nearest(x, column, cursor);
      });
      const place = document.createElement("span");
      place.textContent =
        cursor === null
          ? t("charts.latest")
          : axis === "time"
            ? duration(cursor)
            : t("charts.at_step", { step: count(cursor) });
      readout.current?.replaceChildren(
        place,
        ...runs.map(({ color }, i) => {
          const item = document.createElement("span");
          const swatch = document.createElement("span");
          swatch.className = "ng-swatch";
          swatch.style.color = `var(${color})`;
          const number = document.createElement("b");
          const value = values[i];
          number.textContent = value === undefined || value === null ? "–" : format(value);
          item.append(swatch, number);
          return item;
        }),
      );
      element.setAttribute(
        "aria-label",
        [
          t("compare.chart", { title, runs: runs.length }),
          ...runs.map(({ name }, i) => {
            const value = lastFinite(drawn[i]?.lines.at(-1) ?? []);
            return t("compare.last", { name, value: value === null ? "–" : format(value) });
          }),
        ].join(" "),
      );
    };

    const plot = createPlot(element, {
      lines,
      height: HEIGHT,
      syncKey: `compare ${axis}`,
      range,
      log,
      format,
      formatTick,
      formatStep: writeX,
      onCursor: (x) => {
        if (x === cursor) return;
        cursor = x;
        writeReadout();
      },
      onZoom: () => undefined,
    });
    const loop = createDrawLoop(() => {
      const { details } = useRuns.getState();
      drawn = runs.map(({ runId }) => curveOf(details[runId], metric, axis, smoothing));
      const xMax = Math.max(1, ...drawn.map(({ x }) => x[x.length - 1] ?? 0));
      plot.draw({ curves: drawn, references: NO_LINES, xMax });
      writeReadout();
    });
    loop.now();
    const end = useRuns.subscribe((state, before) => {
      if (runs.some(({ runId }) => state.details[runId] !== before.details[runId])) loop.schedule();
    });
    return () => {
      end();
      loop.stop();
      plot.destroy();
    };
  }, [metric, runs, axis, log, smoothing, title, t, count, duration]);

  return (
    <figure className="ng-chart" aria-labelledby={titleId}>
      <div className="ng-chart-head">
        <Text component="figcaption" id={titleId} fw={600} fz={14}>
          {title}
        </Text>
        {isMetric(metric) && <code className="ng-chart-key">{metric}</code>}
      </div>
      <div className="ng-chart-readout" ref={readout} />
      <div className="ng-chart-canvas" ref={canvas} role="img" style={{ height: HEIGHT }} />
    </figure>
  );
}

/** A run's metric over the axis, raw and, where asked for, smoothed. Empty before its events are there. */
function curveOf(detail: RunDetail | undefined, metric: string, axis: "step" | "time", smoothing: number): PlotCurve {
  const table = detail === undefined ? null : detail.log.keys().includes(metric) ? detail.log : detail.eval;
  if (detail === undefined || table === null) return { x: [], lines: smoothing > 0 ? [[], []] : [[]] };
  const values = table.column(metric);
  const x = axis === "time" ? elapsedSeconds(table, detail.resumedAt) : table.column("step");
  return { x, lines: smoothing > 0 ? [values, smooth(values, smoothing)] : [values] };
}

function lastFinite(values: Values): number | null {
  for (let i = values.length - 1; i >= 0; i--) {
    const value = values[i];
    if (value !== undefined && Number.isFinite(value)) return value;
  }
  return null;
}

/** The value at or before a place on the axis; null beyond the end of the run. */
function nearest(x: Values, values: Values, at: number): number | null {
  const last = x[x.length - 1];
  if (last === undefined || at > last) return null;
  const row = lowerBound(x, at);
  const value = values[x[row] === at ? row : Math.max(0, row - 1)];
  return value !== undefined && Number.isFinite(value) ? value : null;
}
