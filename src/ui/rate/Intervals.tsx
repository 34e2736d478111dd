/** Figures with their intervals, each a number, a text and a whisker on one common scale. */
import { useTranslation } from "react-i18next";
import type { Interval } from "../../shared/stats/binomial";

export interface IntervalRow {
  readonly key: string;
  readonly label: string;
  /** null: not defined; the text then says why or "–". */
  readonly value: number | null;
  readonly interval: Interval | null;
  readonly text: string;
  /** CSS custom property of its colour. */
  readonly color?: string;
}

export interface IntervalsProps {
  readonly rows: readonly IntervalRow[];
  readonly low: number;
  readonly high: number;
  /** Where nobody is ahead. */
  readonly middle: number;
  readonly caption: string;
  readonly heads: readonly [name: string, value: string];
}

export function Intervals({ rows, low, high, middle, caption, heads }: IntervalsProps) {
  const { t } = useTranslation();
  const at = (value: number): number => Math.max(0, Math.min(1, (value - low) / (high - low))) * 100;
  return (
    <table className="ng-intervals ng-numeric" aria-label={caption}>
      <thead>
        <tr>
          <th scope="col">{heads[0]}</th>
          <th scope="col">{heads[1]}</th>
          <td aria-hidden />
        </tr>
      </thead>
      <tbody>
        {rows.map(({ key, label, value, interval, text, color = "--ng-line" }) => (
          <tr key={key}>
            <th scope="row">{label}</th>
            <td>{text}</td>
            <td>
              <svg
                viewBox="0 0 100 18"
                preserveAspectRatio="none"
                role="img"
                aria-label={t("verdicts.scale", { text })}
              >
                <line x1="0" x2="100" y1="9" y2="9" stroke="var(--ng-hairline)" vectorEffect="non-scaling-stroke" />
                <line
                  x1={at(middle)}
                  x2={at(middle)}
                  y1="0"
                  y2="18"
                  stroke="var(--ng-edge)"
                  strokeDasharray="3 3"
                  vectorEffect="non-scaling-stroke"
                />
                {interval !== null && (
                  <line
                    x1={at(interval.low)}
                    x2={at(interval.high)}
                    y1="9"
                    y2="9"
                    stroke={`var(${color})`}
                    strokeWidth="2"
                    vectorEffect="non-scaling-stroke"
                  />
                )}
                {value !== null && (
                  <line
                    x1={at(value)}
                    x2={at(value)}
                    y1="3"
                    y2="15"
                    stroke={`var(${color})`}
                    strokeWidth="4"
                    vectorEffect="non-scaling-stroke"
                  />
                )}
              </svg>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
