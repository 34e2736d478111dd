/**
 * A curve of a run with its read-out, its reference lines and, as the same thing in words, a table. The canvas takes its
 * colours when it is made: give the component another `key` when the colour scheme changes.
 */
import { ActionIcon, Group, Text, Tooltip } from "@mantine/core";
import { IconTable, IconTableOff, IconZoomReset } from "@tabler/icons-react";
import { useEffect, useId, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useSettings } from "../../stores/settings";
import { formatCount } from "../common/format";
import { extent } from "./decimate";
import { MetricTable } from "./MetricTable";
import { createPlot, type Plot, type PlotLine, type PlotReference } from "./plot";
import { smooth } from "./smooth";
import type { ChartSource } from "./source";
import "uplot/dist/uPlot.min.css";
import "./charts.css";

export interface MetricChartProps {
  readonly title: string;
  readonly help: string;
  readonly source: ChartSource;
  readonly metric: string;
  readonly syncKey: string;
  readonly format: (value: number) => string;
  readonly formatTick: (value: number) => string;
  readonly range: (low: number, high: number) => [number, number];
  /** Weight of the moving average drawn over the raw line; null: none. */
  readonly smoothing?: number | null;
  /** Few values: every one is marked. */
  readonly points?: boolean;
  readonly height?: number;
}

const NO_REFERENCES: readonly PlotReference[] = [];

export function MetricChart(props: MetricChartProps) {
  const {
    title,
    help,
    source,
    metric,
    syncKey,
    format,
    formatTick,
    range,
    smoothing = null,
    points = false,
    height = 190,
  } = props;
  const { t } = useTranslation();
  const language = useSettings((state) => state.language);
  const canvas = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLDivElement>(null);
  const [zoomed, setZoomed] = useState(false);
  const [table, setTable] = useState(false);
  const [empty, setEmpty] = useState(true);
  const [references, setReferences] = useState(NO_REFERENCES);
  const [plot, setPlot] = useState<Plot | null>(null);
  const titleId = useId();

  const lines = useMemo<PlotLine[]>(() => {
    const raw = { label: t("charts.raw"), color: "--ng-line", points };
    if (smoothing === null) return [{ ...raw, width: 1.4 }];
    return [
      { ...raw, width: 1, opacity: 0.45 },
      { label: t("charts.smoothed"), color: "--ng-line-strong", width: 2.25 },
    ];
  }, [t, points, smoothing]);

  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    let cursorRow = -1;
    let frame = 0;
    const words = {
      at: (step: number) => t("charts.at_step", { step: formatCount(step, language) }),
      latest: t("charts.latest"),
    };

    const writeReadout = (): void => {
      const target = readout.current;
      const data = source.read();
      if (target === null || data === null) return;
      const values = data.series.column(metric);
      const steps = data.series.column("step");
      const row = cursorRow >= 0 && cursorRow < values.length ? cursorRow : lastFinite(values);
      const where = cursorRow >= 0 && row === cursorRow ? words.at(steps[row] ?? 0) : words.latest;
      const shown = [values, ...(smoothing === null ? [] : [smooth(values, smoothing)])].map((column) => {
        const value = row < 0 ? Number.NaN : (column[row] ?? Number.NaN);
        return Number.isFinite(value) ? format(value) : "–";
      });
      target.replaceChildren(
        textNode("span", where),
        ...shown.map((value, i) => labelled(lines.length > 1 ? (lines[i]?.label ?? "") : "", value)),
      );
    };

    const created = createPlot(element, {
      lines,
      height,
      syncKey,
      range,
      format,
      formatTick,
      formatStep: (step) => formatCount(step, language),
      onCursor: (row) => {
        if (row === cursorRow) return;
        cursorRow = row;
        writeReadout();
      },
      onZoom: setZoomed,
    });
    setPlot(created);

    const render = (): void => {
      const data = source.read();
      if (data === null) return;
      const values = data.series.column(metric);
      const range = extent(values);
      created.draw({
        x: data.series.column("step"),
        lines: smoothing === null ? [values] : [values, smooth(values, smoothing)],
        references: data.references,
        xMax: data.xMax,
      });
      writeReadout();
      setEmpty(range === null);
      setReferences((before) => (sameReferences(before, data.references) ? before : data.references));
      element.setAttribute(
        "aria-label",
        [
          range === null
            ? t("charts.summary_empty", { title })
            : t("charts.summary", {
                title,
                step: formatCount(data.series.last("step") ?? 0, language),
                value: format(data.series.last(metric) ?? 0),
                low: format(range.low),
                high: format(range.high),
              }),
          ...data.references.map((reference) =>
            t("charts.summary_reference", { label: reference.label, value: format(reference.value) }),
          ),
        ].join(" "),
      );
    };
    // At most once a frame, and never more than a fifth of the time: drawing 100,000 steps takes longer than drawing 100.
    let timer: ReturnType<typeof setTimeout> | undefined;
    let cost = 0;
    let drawnAt = 0;
    const draw = (): void => {
      const start = performance.now();
      render();
      drawnAt = performance.now();
      cost = drawnAt - start;
      frame = 0;
    };
    const request = (): void => {
      timer = undefined;
      frame = requestAnimationFrame(draw);
    };
    const schedule = (): void => {
      if (frame !== 0 || timer !== undefined) return;
      const wait = 4 * cost - (performance.now() - drawnAt);
      if (wait > 0) timer = setTimeout(request, wait);
      else request();
    };
    draw();
    const end = source.subscribe(schedule);
    return () => {
      end();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      created.destroy();
      setPlot(null);
    };
  }, [source, metric, syncKey, format, formatTick, range, smoothing, lines, height, language, t, title]);

  return (
    <figure className="ng-chart" aria-labelledby={titleId}>
      <div className="ng-chart-head">
        <Text component="figcaption" id={titleId} fw={600} fz={14}>
          {title}
        </Text>
        <Group gap={2} wrap="nowrap">
          {zoomed && (
            <Tooltip label={t("charts.reset_zoom")}>
              <ActionIcon
                variant="subtle"
                size="sm"
                color="gray"
                aria-label={t("charts.reset_zoom")}
                onClick={() => plot?.resetZoom()}
              >
                <IconZoomReset size={16} />
              </ActionIcon>
            </Tooltip>
          )}
          <Tooltip label={table ? t("charts.table_hide") : t("charts.table_show")}>
            <ActionIcon
              variant="subtle"
              size="sm"
              color="gray"
              aria-label={`${title}: ${table ? t("charts.table_hide") : t("charts.table_show")}`}
              aria-expanded={table}
              onClick={() => setTable(!table)}
            >
              {table ? <IconTableOff size={16} /> : <IconTable size={16} />}
            </ActionIcon>
          </Tooltip>
        </Group>
      </div>
      <p className="ng-chart-help">{help}</p>
      <div className="ng-chart-readout" ref={readout} />
      <div className="ng-chart-canvas" ref={canvas} role="img" style={{ height }}>
        {empty && (
          <div className="ng-chart-empty">
            <span>{t("charts.empty")}</span>
          </div>
        )}
      </div>
      {table && <MetricTable title={title} source={source} metric={metric} format={format} references={references} />}
    </figure>
  );
}

function sameReferences(a: readonly PlotReference[], b: readonly PlotReference[]): boolean {
  return (
    a.length === b.length &&
    a.every((reference, i) => reference.label === b[i]?.label && reference.value === b[i]?.value)
  );
}

function lastFinite(values: ArrayLike<number>): number {
  for (let i = values.length - 1; i >= 0; i--) if (Number.isFinite(values[i])) return i;
  return -1;
}

function textNode(tag: string, text: string): HTMLElement {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function labelled(label: string, value: string): HTMLElement {
  const element = textNode("span", label === "" ? "" : `${label} `);
  element.append(textNode("b", value));
  return element;
}
