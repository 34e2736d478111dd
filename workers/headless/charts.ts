/** Line charts as SVG text, drawn once: colours come from the page's CSS, so that they follow light and dark. */

export interface ChartLine {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 460;
const HEIGHT = 200;
const LEFT = 56;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 26;
/** Points a line keeps: of every stretch its lowest and its highest, so that no spike is lost. */
const STRETCHES = 300;

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** Thins a line to at most two points a stretch. */
export function thin(points: ChartLine["points"], stretches = STRETCHES): ChartLine["points"] {
  if (points.length <= 2 * stretches) return points;
  const kept: (readonly [number, number])[] = [];
  for (let stretch = 0; stretch < stretches; stretch++) {
    const first = Math.floor((stretch * points.length) / stretches);
    const end = Math.floor(((stretch + 1) * points.length) / stretches);
    const some = points.slice(first, end);
    const low = some.reduce((least, point) => (point[1] < least[1] ? point : least));
    const high = some.reduce((most, point) => (point[1] > most[1] ? point : most));
    kept.push(...(low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

/** Round values between low and high, about `count` of them. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const found: number[] = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + 1e-9 * step; index++)
    found.push(index * step + 0);
  return found;
}

const label = (value: number): string => String(Number(value.toPrecision(4)));

function extent(values: readonly number[]): [low: number, high: number] {
  const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const high = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  // A flat line lies in the middle.
  return low < high ? [low, high] : [low - 1, high + 1];
}

/** An <svg> element, or an empty text where no line has a finite point. @param title what a screen reader says */
export function lineChart(title: string, lines: readonly ChartLine[]): string {
  const drawn = lines
    .map(({ name, points }) => ({ name, points: thin(points.filter((point) => point.every(Number.isFinite))) }))
    .filter(({ points }) => points.length > 0);
  const all = drawn.flatMap(({ points }) => points);
  if (all.length === 0) return "";
  const [x0, x1] = extent(all.map(([x]) => x));
  const [y0, y1] = extent(all.map(([, y]) => y));
  const x = (value: number) => LEFT + ((value - x0) / (x1 - x0)) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => HEIGHT - BOTTOM - ((value - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
  const at = (value: number) => value.toFixed(1);
  const grid = ticks(y0, y1, 4).map(
    (value) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(value))}" y2="${at(y(value))}"/>` +
      `<text x="${LEFT - 6}" y="${at(y(value) + 4)}" text-anchor="end">${label(value)}</text>`,
  );
  const steps = ticks(x0, x1, 5).map(
    (value) => `<text x="${at(x(value))}" y="${HEIGHT - 8}" text-anchor="middle">${label(value)}</text>`,
  );
  const paths = drawn.map(({ points }, index) =>
    points.length === 1
      ? `<circle class="line${index}" cx="${at(x(points[0]?.[0] ?? 0))}" cy="${at(y(points[0]?.[1] ?? 0))}" r="3"/>`
      : `<polyline class="line${index}" points="${points.map((point) => `${at(x(point[0]))},${at(y(point[1]))}`).join(" ")}"/>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${[...grid, ...steps, ...paths].join("")}</svg>`;
}
