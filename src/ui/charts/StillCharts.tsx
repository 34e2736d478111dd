/**
 * Small still charts as SVG: a histogram (of several series one over the other) and the reliability diagram.
 * They are few marks and never change while one looks, so they need no canvas; each has its words in `label`.
 */
import { useId } from "react";
import { niceTicks } from "./ranges";
import { useWidth } from "./use-width";

export interface Bin {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}

export interface HistogramProps {
  readonly bins: readonly Bin[];
  /** CSS custom properties, one a series. */
  readonly colors: readonly string[];
  /** Says everything the picture says. */
  readonly label: string;
  readonly axis: string;
  readonly format: (value: number) => string;
  readonly formatCount: (value: number) => string;
  /** Tooltip of a bin. */
  readonly hint: (bin: Bin) => string;
  /** A value to see the bins against. */
  readonly marker?: { readonly value: number; readonly label: string };
  readonly height?: number;
}

/** Before the element has been measured. */
const FIRST_WIDTH = 480;
const LEFT = 36;
const BOTTOM = 34;

export function Histogram({
  bins,
  colors,
  label,
  axis,
  format,
  formatCount,
  hint,
  marker,
  height = 150,
}: HistogramProps) {
  // Drawn in CSS pixels, so that letters keep their size whatever the width.
  const { ref, width: measured } = useWidth<HTMLDivElement>();
  const width = measured || FIRST_WIDTH;
  const top = Math.max(1, ...bins.flatMap((bin) => bin.counts));
  const first = bins[0];
  const last = bins.at(-1);
  if (first === undefined || last === undefined) return null;
  const plotWidth = width - LEFT - 6;
  const plotHeight = height - BOTTOM - 8;
  const step = plotWidth / bins.length;
  const bar = step - Math.min(3, step * 0.2);
  const at = (value: number) => LEFT + ((value - first.low) / (last.high - first.low)) * plotWidth;
  const ticks = niceTicks(first.low, last.high, Math.max(2, Math.round(plotWidth / 64)));
  return (
    <div ref={ref}>
      <svg className="ng-bars" viewBox={`0 0 ${width} ${height}`} height={height} role="img" aria-label={label}>
        {[0, 0.5, 1].map((share) => {
          const y = 8 + plotHeight * (1 - share);
          return (
            <g key={share}>
              <line x1={LEFT} x2={width - 6} y1={y} y2={y} stroke="var(--ng-chart-grid)" />
              {(share !== 0.5 || top > 2) && (
                <text x={LEFT - 6} y={y + 4} textAnchor="end">
                  {formatCount(Math.round(top * share))}
                </text>
              )}
            </g>
          );
        })}
        {bins.map((bin, i) => (
          <g key={bin.low}>
            <title>{hint(bin)}</title>
            {bin.counts.map((count, series) => {
              const size = (count / top) * plotHeight;
              return (
                <rect
                  // A series is its place.
                  key={colors[series]}
                  x={LEFT + i * step + (step - bar) / 2}
                  y={8 + plotHeight - size}
                  width={Math.max(0.5, bar)}
                  height={size}
                  fill={`var(${colors[series]})`}
                  fillOpacity={colors.length > 1 ? 0.65 : 1}
                  rx={Math.min(1.5, bar / 4)}
                />
              );
            })}
          </g>
        ))}
        {marker !== undefined && marker.value > first.low && marker.value < last.high && (
          <g style={{ color: "var(--ng-text-quiet)" }}>
            <line
              x1={at(marker.value)}
              x2={at(marker.value)}
              y1={8}
              y2={8 + plotHeight}
              stroke="currentColor"
              strokeDasharray="4 3"
            />
            <text x={at(marker.value) + 5} y={18}>
              {marker.label}
            </text>
          </g>
        )}
        {ticks.map((tick) => (
          <text key={tick} x={at(tick)} y={height - BOTTOM + 16} textAnchor="middle">
            {format(tick)}
          </text>
        ))}
        <text x={LEFT + plotWidth / 2} y={height - 2} textAnchor="middle">
          {axis}
        </text>
      </svg>
    </div>
  );
}

export interface CalibrationProps {
  readonly bins: readonly {
    readonly low: number;
    readonly high: number;
    readonly count: number;
    readonly mean_predicted: number | null;
    readonly share_positive: number | null;
  }[];
  readonly label: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly perfectLabel: string;
  readonly hint: (bin: CalibrationProps["bins"][number]) => string;
}

const SIZE = 320;
const PAD = 46;

/** Predicted probability against the share that was positive; the area of a point is the number of texts behind it. */
export function CalibrationPlot({ bins, label, xLabel, yLabel, perfectLabel, hint }: CalibrationProps) {
  const clip = useId();
  const plot = SIZE - PAD - 14;
  const x = (p: number) => PAD + p * plot;
  const y = (p: number) => 14 + (1 - p) * plot;
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  const shown = bins.filter((bin) => bin.count > 0 && bin.mean_predicted !== null && bin.share_positive !== null);
  return (
    <svg className="ng-bars" viewBox={`0 0 ${SIZE} ${SIZE}`} role="img" aria-label={label} style={{ maxWidth: 360 }}>
      <clipPath id={clip}>
        <rect x={PAD} y={14} width={plot} height={plot} />
      </clipPath>
      {[0, 0.25, 0.5, 0.75, 1].map((tick) => (
        <g key={tick}>
          <line x1={x(0)} x2={x(1)} y1={y(tick)} y2={y(tick)} stroke="var(--ng-chart-grid)" />
          <line x1={x(tick)} x2={x(tick)} y1={y(0)} y2={y(1)} stroke="var(--ng-chart-grid)" />
          <text x={PAD - 6} y={y(tick) + 4} textAnchor="end">
            {tick * 100}%
          </text>
          <text x={x(tick)} y={y(0) + 15} textAnchor="middle">
            {tick * 100}%
          </text>
        </g>
      ))}
      <line
        x1={x(0)}
        y1={y(0)}
        x2={x(1)}
        y2={y(1)}
        stroke="var(--ng-ref-ngram)"
        strokeDasharray="5 4"
        strokeWidth={1.25}
      />
      <text x={x(0.8)} y={y(0.8) + 18} style={{ fill: "var(--ng-ref-ngram)" }} textAnchor="start">
        {perfectLabel}
      </text>
      <polyline
        points={shown.map((bin) => `${x(bin.mean_predicted ?? 0)},${y(bin.share_positive ?? 0)}`).join(" ")}
        fill="none"
        stroke="var(--ng-line)"
        strokeWidth={1.5}
        clipPath={`url(#${clip})`}
      />
      {shown.map((bin) => (
        <circle
          key={bin.low}
          cx={x(bin.mean_predicted ?? 0)}
          cy={y(bin.share_positive ?? 0)}
          r={3 + 8 * Math.sqrt(bin.count / most)}
          fill="var(--ng-line)"
          fillOpacity={0.55}
          stroke="var(--ng-line)"
        >
          <title>{hint(bin)}</title>
        </circle>
      ))}
      <text x={x(0.5)} y={SIZE - 4} textAnchor="middle">
        {xLabel}
      </text>
      <text x={12} y={y(0.5)} textAnchor="middle" transform={`rotate(-90 12 ${y(0.5)})`}>
        {yLabel}
      </text>
    </svg>
  );
}
