/**
 * A line chart over a run's steps on uPlot. It lives outside React: data comes in through `draw`, at most once a frame,
 * and touches only the canvas and the read-out, so that a fast run never re-renders the page.
 */
import uPlot from "uplot";
import { decimate, type Values } from "./decimate";

export interface PlotLine {
  readonly label: string;
  /** Name of a CSS custom property with the colour. */
  readonly color: string;
  /** CSS pixels. */
  readonly width: number;
  readonly opacity?: number;
  /** Marks every point: for curves with few of them. */
  readonly points?: boolean;
}

/** A horizontal line that the curve is to be compared with. */
export interface PlotReference {
  readonly label: string;
  readonly value: number;
  readonly color: string;
}

/** Lines over the same x. Several of them may have each their own x: runs of different lengths, side by side. */
export interface PlotCurve {
  /** Ascending. */
  readonly x: Values;
  readonly lines: readonly Values[];
}

export interface PlotData {
  /** Their lines, one curve after the other, are `PlotOptions.lines`. */
  readonly curves: readonly PlotCurve[];
  readonly references: readonly PlotReference[];
  /** Right end of the axis while not zoomed: the planned number of steps, so that the curve grows into free space. */
  readonly xMax: number;
}

export interface PlotOptions {
  readonly lines: readonly PlotLine[];
  readonly height: number;
  /** Charts with the same key share the cursor and the zoom. */
  readonly syncKey: string;
  /** From the lowest and highest value in sight to the ends of the axis. */
  readonly range: (low: number, high: number) => [number, number];
  readonly format: (value: number) => string;
  /** Of the ticks beside the axis: shorter than `format`. */
  readonly formatTick: (value: number) => string;
  /** Of a place on the x axis; empty where no tick is wanted. */
  readonly formatStep: (step: number) => string;
  /** Logarithmic y axis: values that are not positive are left out. */
  readonly log?: boolean;
  /** x of the drawn point under the cursor, null when the cursor is elsewhere. */
  readonly onCursor: (x: number | null) => void;
  readonly onZoom: (zoomed: boolean) => void;
}

export interface Plot {
  draw(data: PlotData): void;
  resetZoom(): void;
  destroy(): void;
}

const FONT_SIZE = 11;

type Follow = (zoom: [number, number] | null) => void;
/** Charts on the page by their sync key, so that zooming one zooms all of them, and out again. */
const groups = new Map<string, Set<Follow>>();

export function createPlot(element: HTMLElement, options: PlotOptions): Plot {
  const style = getComputedStyle(element);
  const css = (name: string) => style.getPropertyValue(name).trim();
  const font = `${FONT_SIZE}px ${style.fontFamily}`;
  const log = options.log ?? false;
  let current: PlotData = { curves: [], references: [], xMax: 1 };
  let zoom: [number, number] | null = null;

  const follow: Follow = (next) => {
    if (zoom?.[0] === next?.[0] && zoom?.[1] === next?.[1]) return;
    zoom = next;
    options.onZoom(next !== null);
    render();
  };
  const group = groups.get(options.syncKey) ?? new Set<Follow>();
  groups.set(options.syncKey, group);
  group.add(follow);
  const setZoom: Follow = (next) => {
    for (const member of group) member(next);
  };

  const axis: uPlot.Axis = {
    stroke: css("--ng-chart-text"),
    font,
    grid: { stroke: css("--ng-chart-grid"), width: 1 },
    ticks: { show: false },
    border: { show: false },
  };
  const chart = new uPlot(
    {
      width: Math.max(1, element.clientWidth),
      height: options.height,
      legend: { show: false },
      padding: [10, 8, 0, 0],
      cursor: {
        sync: { key: options.syncKey, setSeries: false },
        drag: { x: true, y: false, setScale: false },
        points: { size: 7, width: 2 },
        bind: {
          dblclick: () => () => {
            setZoom(null);
            return null;
          },
        },
      },
      scales: {
        x: { time: false, range: () => zoom ?? [0, Math.max(1, current.xMax)] },
        y: {
          distr: log ? 3 : 1,
          range: (_, low, high) => {
            // uPlot says null before there is data.
            const values = [low, high, ...current.references.map((reference) => reference.value)].filter(
              (value) => typeof value === "number" && Number.isFinite(value) && (!log || value > 0),
            );
            if (values.length === 0) return log ? [0.1, 1] : [0, 1];
            const [least, most] = [Math.min(...values), Math.max(...values)];
            return log ? decades(least, most) : options.range(least, most);
          },
        },
      },
      series: [
        {},
        ...options.lines.map(
          (line): uPlot.Series => ({
            label: line.label,
            stroke: css(line.color),
            width: line.width,
            alpha: line.opacity ?? 1,
            spanGaps: false,
            points: line.points ? { show: true, size: 5, fill: css(line.color) } : { show: false },
          }),
        ),
      ],
      axes: [
        {
          ...axis,
          size: 26,
          gap: 4,
          values: (_, splits) => splits.map(options.formatStep),
        },
        {
          ...axis,
          size: 52,
          gap: 6,
          // On a logarithmic axis uPlot says null where there is a line but no room for a number.
          values: (_, splits) => splits.map((value) => (value === null ? "" : options.formatTick(value))),
        },
      ],
      hooks: {
        setCursor: [
          (u) => options.onCursor(typeof u.cursor.idx === "number" ? (u.data[0][u.cursor.idx] ?? null) : null),
        ],
        setSelect: [
          (u) => {
            if (u.select.width < 4) return;
            const from = u.posToVal(u.select.left, "x");
            const to = u.posToVal(u.select.left + u.select.width, "x");
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            setZoom([from, to]);
          },
        ],
        draw: [(u) => drawReferences(u, current.references, css, font, options.format)],
      },
    },
    [[], ...options.lines.map(() => [])] as uPlot.AlignedData,
    element,
  );
  chart.root.setAttribute("aria-hidden", "true");

  function render(): void {
    const [from, to] = zoom ?? [0, Math.max(1, current.xMax)];
    const pixels = chart.bbox.width / devicePixelRatio || element.clientWidth;
    chart.setData(aligned(current.curves, from, to, pixels, log));
  }

  const resize = new ResizeObserver(() => {
    if (element.clientWidth > 0 && element.clientWidth !== chart.width) {
      chart.setSize({ width: element.clientWidth, height: options.height });
      render();
    }
  });
  resize.observe(element);

  return {
    draw(data) {
      current = data;
      render();
    },
    resetZoom: () => setZoom(null),
    destroy() {
      group.delete(follow);
      if (group.size === 0) groups.delete(options.syncKey);
      resize.disconnect();
      chart.destroy();
    },
  };
}

/**
 * The drawn points of all curves on one x axis, as uPlot wants them. null is a gap (a value that is no number);
 * undefined only means that another curve has a point there, and the line runs on.
 */
function aligned(
  curves: readonly PlotCurve[],
  from: number,
  to: number,
  pixels: number,
  log: boolean,
): uPlot.AlignedData {
  const kept = curves.map((curve) => ({ curve, rows: decimate(curve.x, curve.lines, from, to, pixels) }));
  const all = kept.flatMap(({ curve, rows }) => rows.map((row) => curve.x[row] ?? 0));
  const x = curves.length === 1 ? all : [...new Set(all)].sort((a, b) => a - b);
  const place = new Map(curves.length === 1 ? [] : x.map((value, index) => [value, index]));
  const columns = kept.flatMap(({ curve, rows }) =>
    curve.lines.map((values) => {
      const column = new Array<number | null | undefined>(x.length).fill(undefined);
      for (const [index, row] of rows.entries()) {
        const value = values[row] ?? Number.NaN;
        const at = curves.length === 1 ? index : (place.get(curve.x[row] ?? 0) ?? 0);
        column[at] = Number.isFinite(value) && (!log || value > 0) ? value : null;
      }
      return column;
    }),
  );
  return [x, ...columns];
}

/** Whole powers of ten around the values. */
function decades(low: number, high: number): [number, number] {
  const [bottom, top] = [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))];
  return [bottom, top > bottom ? top : bottom * 10];
}

/**
 * Dashed lines across the plot, each with its name and value. Names stand on the left, where curves that rise are still
 * far away, and never cover one another.
 */
function drawReferences(
  u: uPlot,
  references: readonly PlotReference[],
  css: (name: string) => string,
  font: string,
  format: (value: number) => string,
): void {
  if (references.length === 0) return;
  const { ctx, bbox } = u;
  const scale = devicePixelRatio;
  const height = (FONT_SIZE + 4) * scale;
  ctx.save();
  ctx.font = font.replace(/^\d+/, String(FONT_SIZE * scale));
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  const placed: number[] = [];
  for (const reference of [...references].sort((a, b) => b.value - a.value)) {
    const y = u.valToPos(reference.value, "y", true);
    if (y < bbox.top - 1 || y > bbox.top + bbox.height + 1) continue;
    ctx.strokeStyle = css(reference.color);
    ctx.lineWidth = 1.25 * scale;
    ctx.setLineDash([5 * scale, 4 * scale]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();

    const text = `${reference.label} ${format(reference.value)}`;
    const left = bbox.left + 6 * scale;
    let middle = y - height * 0.6;
    if (middle < bbox.top + height / 2) middle = y + height * 0.6;
    for (const other of placed) if (Math.abs(other - middle) < height) middle = other + height;
    placed.push(middle);
    const width = ctx.measureText(text).width;
    ctx.fillStyle = css("--ng-surface");
    ctx.globalAlpha = 0.85;
    ctx.fillRect(left - 3 * scale, middle - height / 2, width + 6 * scale, height);
    ctx.globalAlpha = 1;
    ctx.fillStyle = css(reference.color);
    ctx.fillText(text, left, middle);
  }
  ctx.restore();
}
