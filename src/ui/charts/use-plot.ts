/** Keeps a plot, its read-out and its description in step with a source, outside React's rendering. */
import { type RefObject, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useFormat } from "../common/use-format";
import { extent, lowerBound, type Values } from "./decimate";
import { createPlot, type Plot, type PlotLine, type PlotReference } from "./plot";
import { smooth } from "./smooth";
import type { ChartSource } from "./source";
import { createDrawLoop } from "./throttle";

export interface PlotSettings {
  readonly title: string;
  readonly source: ChartSource;
  readonly metric: string;
  /** Charts with the same key share the cursor and the zoom. */
  readonly syncKey: string;
  readonly format: (value: number) => string;
  readonly formatTick: (value: number) => string;
  readonly range: (low: number, high: number) => [number, number];
  /** Weight of the moving average drawn over the raw line; null: none. */
  readonly smoothing: number | null;
  /** Few values: every one is marked. */
  readonly points: boolean;
  /** CSS pixels. */
  readonly height: number;
}

export interface PlotView {
  /** For the element that the plot is drawn into; its `aria-label` says what there is to see. */
  readonly canvas: RefObject<HTMLDivElement | null>;
  /** For the element that shows the values under the cursor, or the newest. */
  readonly readout: RefObject<HTMLDivElement | null>;
  readonly zoomed: boolean;
  readonly resetZoom: () => void;
  readonly empty: boolean;
  readonly references: readonly PlotReference[];
}

const NO_REFERENCES: readonly PlotReference[] = [];

export function usePlot(settings: PlotSettings): PlotView {
  const { title, source, metric, syncKey, format, formatTick, range, smoothing, points, height } = settings;
  const { t } = useTranslation();
  const { count } = useFormat();
  const canvas = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const [zoomed, setZoomed] = useState(false);
  const [empty, setEmpty] = useState(true);
  const [references, setReferences] = useState(NO_REFERENCES);

  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const lines: readonly PlotLine[] =
      smoothing === null
        ? [{ label: "", color: "--ng-line", width: 1.4, points }]
        : [
            { label: t("charts.raw"), color: "--ng-line", width: 1, opacity: 0.45, points },
            { label: t("charts.smoothed"), color: "--ng-line-strong", width: 2.25 },
          ];
    let steps: Values = [];
    let drawn: readonly Values[] = [];
    let cursor: number | null = null;

    const writeReadout = (): void => {
      const [values = []] = drawn;
      const row = cursor === null ? lastFinite(values) : lowerBound(steps, cursor);
      const where = cursor !== null ? t("charts.at_step", { step: count(steps[row]) }) : t("charts.latest");
      readout.current?.replaceChildren(
        span(where, ""),
        ...drawn.map((column, i) => span(lines[i]?.label ?? "", written(column[row], format))),
      );
    };

    const inWords = (compared: readonly PlotReference[]): string => {
      const [values = []] = drawn;
      const found = extent(values);
      const row = lastFinite(values);
      const summary =
        found === null
          ? t("charts.summary_empty", { title })
          : t("charts.summary", {
              title,
              step: count(steps[row]),
              value: written(values[row], format),
              low: format(found.low),
              high: format(found.high),
            });
      const comparisons = compared.map(({ label, value }) =>
        t("charts.summary_reference", { label, value: format(value) }),
      );
      return [summary, ...comparisons].join(" ");
    };

    const created = createPlot(element, {
      lines,
      height,
      syncKey,
      range,
      format,
      formatTick,
      formatStep: (step) => (Number.isInteger(step) ? count(step) : ""),
      onCursor: (x) => {
        if (x === cursor) return;
        cursor = x;
        writeReadout();
      },
      onZoom: setZoomed,
    });
    plot.current = created;

    const loop = createDrawLoop(() => {
      const data = source.read();
      if (data === null) return;
      const values = data.series.column(metric);
      steps = data.series.column("step");
      drawn = smoothing === null ? [values] : [values, smooth(values, smoothing)];
      created.draw({ curves: [{ x: steps, lines: drawn }], references: data.references, xMax: data.xMax });
      writeReadout();
      element.setAttribute("aria-label", inWords(data.references));
      setEmpty(lastFinite(values) < 0);
      setReferences((before) => (same(before, data.references) ? before : data.references));
    });
    loop.now();
    const end = source.subscribe(loop.schedule);
    return () => {
      end();
      loop.stop();
      created.destroy();
      plot.current = null;
    };
  }, [title, source, metric, syncKey, format, formatTick, range, smoothing, points, height, t, count]);

  return { canvas, readout, zoomed, resetZoom: () => plot.current?.resetZoom(), empty, references };
}

function same(a: readonly PlotReference[], b: readonly PlotReference[]): boolean {
  return a.length === b.length && a.every(({ label, value }, i) => label === b[i]?.label && value === b[i]?.value);
}

function lastFinite(values: Values): number {
  for (let i = values.length - 1; i >= 0; i--) if (Number.isFinite(values[i])) return i;
  return -1;
}

function written(value: number | undefined, format: (value: number) => string): string {
  return value !== undefined && Number.isFinite(value) ? format(value) : "–";
}

function span(label: string, value: string): HTMLElement {
  const element = document.createElement("span");
  if (label !== "") element.append(value === "" ? label : `${label} `);
  if (value !== "") {
    const strong = document.createElement("b");
    strong.textContent = value;
    element.append(strong);
  }
  return element;
}
