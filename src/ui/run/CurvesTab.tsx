/** The live curves, and in words whether the accuracy means anything. */
import { Group, Stack, Switch, Text, useComputedColorScheme } from "@mantine/core";
import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import { rewardStageOf } from "../../shared/protocol/config";
import type { RunDetail } from "../../stores/run-detail";
import { useRuns } from "../../stores/runs";
import { MetricChart } from "../charts/MetricChart";
import type { PlotReference } from "../charts/plot";
import { fromZero, share } from "../charts/ranges";
import { formatPercent, formatTick, formatValue } from "../common/format";
import { useFormat } from "../common/use-format";
import { useRunSource } from "./sources";
import { useRecord } from "./use-run";
import { VerdictNotice } from "./VerdictNotice";

const SMOOTHING = 0.9;
const NO_LINES: readonly PlotReference[] = [];
const noLines = () => NO_LINES;
const percent = (value: number) => formatPercent(value);
const percentTick = (value: number) => formatPercent(value, 0);
const plain = (value: number) => formatValue(value, 3);
const exact = (value: number) => formatValue(value);

export function CurvesTab({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const scheme = useComputedColorScheme("light");
  const [smoothed, setSmoothed] = useState(false);
  const baselines = useCallback(
    ({ prepared }: RunDetail): readonly PlotReference[] =>
      prepared?.baselines == null
        ? NO_LINES
        : [
            { label: t("charts.ngram"), value: prepared.baselines.ngram_accuracy, color: "--ng-ref-ngram" },
            { label: t("charts.majority"), value: prepared.baselines.majority_accuracy, color: "--ng-ref-majority" },
          ],
    [t],
  );
  const aucBaseline = useCallback(
    ({ prepared }: RunDetail): readonly PlotReference[] => [
      ...(prepared?.baselines?.ngram_auc == null
        ? []
        : [{ label: t("charts.ngram"), value: prepared.baselines.ngram_auc, color: "--ng-ref-ngram" }]),
      { label: t("charts.chance"), value: 0.5, color: "--ng-ref-majority" },
    ],
    [t],
  );
  const count = useCallback((value: number) => format.count(value), [format]);
  const log = useRunSource(runId, "log", noLines);
  const evaluation = useRunSource(runId, "eval", noLines);
  const accuracy = useRunSource(runId, "eval", baselines);
  const auc = useRunSource(runId, "eval", aucBaseline);
  const common = { syncKey: runId, range: fromZero, formatTick };
  const smoothing = smoothed ? SMOOTHING : null;
  const text = (name: "loss" | "accuracy" | "auc" | "learning_rate" | "grad_norm" | "throughput" | "eval_loss") => ({
    title: t(`charts.${name}`),
    help: t(`charts.${name}_help`),
  });
  return (
    <Stack gap="md">
      <VerdictText runId={runId} />
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
      <div className="ng-charts" key={scheme}>
        <MetricChart
          {...common}
          {...text("loss")}
          source={log}
          metric="loss"
          format={plain}
          smoothing={smoothing}
          height={230}
        />
        <MetricChart
          {...common}
          {...text("accuracy")}
          source={accuracy}
          metric="eval_accuracy"
          format={percent}
          formatTick={percentTick}
          range={share}
          points
          height={230}
        />
        <MetricChart {...common} {...text("auc")} source={auc} metric="eval_auc" format={plain} range={share} points />
        <MetricChart {...common} {...text("eval_loss")} source={evaluation} metric="eval_loss" format={plain} points />
        <MetricChart
          {...common}
          {...text("grad_norm")}
          source={log}
          metric="grad_norm"
          format={plain}
          smoothing={smoothing}
          height={150}
        />
        <MetricChart
          {...common}
          {...text("learning_rate")}
          source={log}
          metric="learning_rate"
          format={exact}
          height={150}
        />
        <MetricChart
          {...common}
          {...text("throughput")}
          source={log}
          metric="tokens_per_second"
          format={count}
          height={150}
        />
      </div>
    </Stack>
  );
}

function VerdictText({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const accuracy = useRuns((state) => state.details[runId]?.eval.last("eval_accuracy") ?? null);
  const baselines = useRuns((state) => state.details[runId]?.prepared?.baselines ?? null);
  const state = useRecord(runId, (record) => record.state);
  const evalSteps = useRecord(runId, (record) => rewardStageOf(record.config)?.eval_steps);
  return (
    <VerdictNotice
      accuracy={accuracy}
      majority={baselines?.majority_accuracy ?? null}
      ngram={baselines?.ngram_accuracy ?? null}
      final={state === "finished"}
      waiting={t("verdict.waiting", { steps: format.count(evalSteps) })}
    />
  );
}
