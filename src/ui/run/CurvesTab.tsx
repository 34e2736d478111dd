/** The live curves of whatever stage the run is, with what is wrong with them said on top. */
import { Group, Stack, Switch, Text, Title, useComputedColorScheme } from "@mantine/core";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import type { StageConfig } from "../../shared/protocol/config";
import { stageOf } from "../../shared/protocol/run";
import { useRuns } from "../../stores/runs";
import { MetricChart } from "../charts/MetricChart";
import { isMetric, METRICS, styleOf } from "../charts/metrics";
import { Alarms } from "./Alarms";
import { useReferences } from "./references";
import { useRunSource } from "./sources";
import { type ChartGroup, type ChartSpec, type ChartTable, otherMetrics, STAGE_CHARTS } from "./stage-charts";
import { useRecord } from "./use-run";
import { VerdictText } from "./VerdictNotice";

const SMOOTHING = 0.9;
const HEIGHTS = { large: 220, small: 150 } as const;

export function CurvesTab({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const stage = useRecord(runId, stageOf);
  const scheme = useComputedColorScheme("light");
  const [smoothed, setSmoothed] = useState(false);
  const logged = useKeys(runId, "log");
  const evaluated = useKeys(runId, "eval");
  if (stage === undefined) return null;
  const smoothing = smoothed ? SMOOTHING : null;
  const shared = { runId, stage, smoothing };
  const others = {
    log: otherMetrics(stage.stage, "log", logged),
    eval: otherMetrics(stage.stage, "eval", evaluated),
  };
  return (
    <Stack gap="md">
      <Alarms runId={runId} />
      {stage.stage === "reward" && <VerdictText runId={runId} stage={stage} />}
      <Group justify="space-between" gap="sm">
        <Switch
          checked={smoothed}
          onChange={(event) => setSmoothed(event.currentTarget.checked)}
          label={t("charts.smooth_switch")}
        />
        <Text size="xs" c="dimmed">
          {smoothed ? t("charts.smooth_note", { weight: SMOOTHING }) : t("charts.zoom_hint")}
        </Text>
      </Group>
      {/* The key draws the canvas anew in the colours of the other scheme. */}
      <Stack gap="lg" key={scheme}>
        {STAGE_CHARTS[stage.stage].map((group) => (
          <Charts key={group.name} {...shared} group={group} keys={{ log: logged, eval: evaluated }} />
        ))}
        {others.log.length + others.eval.length > 0 && (
          <details className="ng-more">
            <summary>{t("charts.other", { count: others.log.length + others.eval.length })}</summary>
            <div className="ng-charts" data-size="small">
              {(["log", "eval"] as const).flatMap((table) =>
                others[table].map((metric) => (
                  <RunChart key={`${table} ${metric}`} {...shared} metric={metric} table={table} size="small" />
                )),
              )}
            </div>
          </details>
        )}
      </Stack>
    </Stack>
  );
}

type Keys = Readonly<Record<ChartTable, readonly string[]>>;

interface SharedProps {
  readonly runId: string;
  readonly stage: StageConfig;
  readonly smoothing: number | null;
}

/** The metrics a run has logged so far; a new array only when there are new ones. */
function useKeys(runId: string, table: ChartTable): readonly string[] {
  const joined = useRuns((state) => state.details[runId]?.[table].keys().join("\n") ?? "");
  return joined === "" ? [] : joined.split("\n");
}

function Charts({ group, keys, ...shared }: SharedProps & { readonly group: ChartGroup; readonly keys: Keys }) {
  const { t } = useTranslation();
  const id = useId();
  const started = keys.log.length + keys.eval.length > 0;
  // What this run never logs leaves no empty frame; before the first step the main curves stand ready.
  const shown = group.charts.filter(
    (chart) =>
      keys[chart.table].includes(chart.metric) || (chart.size === "large" && (!started || chart.table === "eval")),
  );
  if (shown.length === 0) return null;
  const rows = (["large", "small"] as const).map((size) => [size, shown.filter((one) => one.size === size)] as const);
  return (
    <section aria-labelledby={id}>
      <Title order={2} id={id} mb="xs" fz={15}>
        {t(`chart_groups.${group.name}`)}
      </Title>
      <Stack gap="md">
        {rows.map(
          ([size, charts]) =>
            charts.length > 0 && (
              <div className="ng-charts" data-size={size} key={size}>
                {charts.map((chart) => (
                  <RunChart key={`${chart.table} ${chart.metric}`} {...shared} {...chart} />
                ))}
              </div>
            ),
        )}
      </Stack>
    </section>
  );
}

interface RunChartProps extends SharedProps, Omit<ChartSpec, "metric"> {
  readonly metric: string;
}

function RunChart({ runId, stage, smoothing, metric, table, size, reference }: RunChartProps) {
  const { t } = useTranslation();
  const source = useRunSource(runId, table, useReferences(reference, stage));
  const slug = isMetric(metric) ? METRICS[metric].slug : null;
  return (
    <MetricChart
      title={slug === null ? metric : t(`metrics.${slug}.label`)}
      help={slug === null ? "" : t(`metrics.${slug}.help`)}
      source={source}
      metric={metric}
      syncKey={runId}
      points={table === "eval"}
      smoothing={table === "log" ? smoothing : null}
      height={HEIGHTS[size]}
      {...styleOf(metric)}
    />
  );
}
