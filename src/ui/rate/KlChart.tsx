/** Win rate per PPO checkpoint against KL: where more optimisation stops being better in people's eyes. */
import { useTranslation } from "react-i18next";
import type { Overview } from "../../shared/ratings/figures";
import { useArtefacts } from "../../stores/artefacts";
import type { Rating } from "../../stores/ratings";
import { niceTicks } from "../charts/ranges";
import { useWidth } from "../charts/use-width";
import { formatPercent, formatTick, formatValue } from "../common/format";
import { Section } from "../common/Page";
import { type KlPoint, klPoints } from "./kl-points";
import { shareText } from "./VerdictTab";
import "../charts/charts.css";

const HEIGHT = 260;
const LEFT = 44;
const RIGHT = 16;
const BOTTOM = 42;
const TOP = 12;

export function KlChart({ rating, figures }: { readonly rating: Rating; readonly figures: Overview }) {
  const { t } = useTranslation();
  const artefacts = useArtefacts((state) => state.artefacts);
  const { models } = rating.record;
  const [reference] = rating.record.session.models;
  const points = reference === undefined ? [] : klPoints(reference, models, figures.pairs);
  if (reference === undefined || points.length < 2) return null;
  const label = points
    .map(({ model, kl, win_rate, interval }) =>
      t("verdicts.kl_point", { model, kl: formatValue(kl, 3), share: shareText(win_rate, interval) }),
    )
    .join(" ");
  const checkpoints = rating.record.session.parents.some(({ slot }) => slot === "run");
  const ppo = points.filter(({ model }) => {
    const source = models.find(({ name }) => name === model)?.source;
    return artefacts.find(({ id }) => id === source)?.stage?.stage === "ppo";
  });
  return (
    <Section
      title={t("verdicts.kl_title", { reference })}
      help={t(checkpoints || ppo.length > 1 ? "verdicts.kl_help_ppo" : "verdicts.kl_help")}
    >
      <Plot points={points} label={label} />
    </Section>
  );
}

function Plot({ points, label }: { readonly points: readonly KlPoint[]; readonly label: string }) {
  const { t } = useTranslation();
  const { ref, width: measured } = useWidth<HTMLDivElement>();
  const width = measured || 560;
  const largest = Math.max(...points.map(({ kl }) => kl), 0);
  const smallest = Math.min(...points.map(({ kl }) => kl), 0);
  const span = largest - smallest || 1;
  const plot = { width: width - LEFT - RIGHT - 12, height: HEIGHT - TOP - BOTTOM };
  const x = (kl: number): number => LEFT + ((kl - smallest) / span) * plot.width;
  const y = (share: number): number => TOP + (1 - share) * plot.height;
  return (
    <div ref={ref}>
      <svg className="ng-bars" viewBox={`0 0 ${width} ${HEIGHT}`} height={HEIGHT} role="img" aria-label={label}>
        {[0, 0.25, 0.5, 0.75, 1].map((tick) => (
          <g key={tick}>
            <line
              x1={LEFT}
              x2={width - RIGHT}
              y1={y(tick)}
              y2={y(tick)}
              stroke={tick === 0.5 ? "var(--ng-edge)" : "var(--ng-chart-grid)"}
              strokeDasharray={tick === 0.5 ? "4 3" : undefined}
            />
            <text x={LEFT - 6} y={y(tick) + 4} textAnchor="end">
              {formatPercent(tick, 0)}
            </text>
          </g>
        ))}
        {niceTicks(smallest, largest, Math.max(2, Math.round(plot.width / 90))).map((tick) => (
          <text key={tick} x={x(tick)} y={HEIGHT - BOTTOM + 18} textAnchor="middle">
            {formatTick(tick)}
          </text>
        ))}
        <polyline
          points={points.map(({ kl, win_rate }) => `${x(kl)},${y(win_rate)}`).join(" ")}
          fill="none"
          stroke="var(--ng-line)"
          strokeWidth={1.5}
        />
        {points.map(({ model, kl, win_rate, interval }) => (
          <g key={model}>
            <title>{`${model}: ${shareText(win_rate, interval)}`}</title>
            {interval !== null && (
              <line x1={x(kl)} x2={x(kl)} y1={y(interval.low)} y2={y(interval.high)} stroke="var(--ng-line)" />
            )}
            <circle cx={x(kl)} cy={y(win_rate)} r={5} fill="var(--ng-line)" />
            <text
              x={x(kl) + (kl - smallest > span * 0.7 ? -9 : 9)}
              y={y(win_rate) - 10}
              textAnchor={kl - smallest > span * 0.7 ? "end" : "start"}
            >
              {model}
            </text>
          </g>
        ))}
        <text x={LEFT + plot.width / 2} y={HEIGHT - 4} textAnchor="middle">
          {t("verdicts.kl_axis")}
        </text>
      </svg>
    </div>
  );
}
