/** The live curves, and in words whether the accuracy means anything. */
import { Group, SimpleGrid, Stack, Switch, Text, useComputedColorScheme } from "@mantine/core";
import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import type { RunDetail } from "../../stores/run-detail";
import { useRuns } from "../../stores/runs";
import { MetricChart } from "../charts/MetricChart";
import type { PlotReference } from "../charts/plot";
import { fromZero, share } from "../charts/ranges";
import { formatPercent, formatValue } from "../common/format";
import { useFormat } from "../common/use-format";
import { useRunSource } from "./sources";
import { useRecord } from "./use-run";
import { verdict } from "./verdict";

const SMOOTHING = 0.9;
const NO_LINES: readonly PlotReference[] = [];
const noLines = () => NO_LINES;
const percent = (value: number) => formatPercent(value);
const plain = (value: number) => formatValue(value, 3);
const exact = (value: number) => formatValue(value);

export function CurvesTab({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const scheme = useComputedColorScheme("light");
  const [smoothed, setSmoothed] = useState(false);
  const baselines = useCallback(
    ({ prepared }: RunDetail): readonly PlotReference[] =>
      prepared === null
        ? NO_LINES
        : [
            { label: t("charts.ngram"), value: prepared.ngram_accuracy, color: "--ng-ref-ngram" },
            { label: t("charts.majority"), value: prepared.majority_accuracy, color: "--ng-ref-majority" },
          ],
    [t],
  );
  const aucBaseline = useCallback(
    ({ prepared }: RunDetail): readonly PlotReference[] => [
      ...(prepared === null || prepared.ngram_auc === null
        ? []
        : [{ label: t("charts.ngram"), value: prepared.ngram_auc, color: "--ng-ref-ngram" }]),
      { label: t("charts.chance"), value: 0.5, color: "--ng-ref-majority" },
    ],
    [t],
  );
  const count = useCallback((value: number) => format.count(value), [format]);
  const log = useRunSource(runId, "log", noLines);
  const evaluation = useRunSource(runId, "eval", noLines);
  const accuracy = useRunSource(runId, "eval", baselines);
  const auc = useRunSource(runId, "eval", aucBaseline);
  const common = { syncKey: runId, range: fromZero };
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
      <SimpleGrid key={scheme} cols={{ base: 1, md: 2 }} spacing="md">
        <MetricChart
          {...common}
          {...text("loss")}
          source={log}
          metric="loss"
          format={plain}
          smoothing={smoothing}
          height={220}
        />
        <MetricChart
          {...common}
          {...text("accuracy")}
          source={accuracy}
          metric="eval_accuracy"
          format={percent}
          range={share}
          points
          height={220}
        />
        <MetricChart {...common} {...text("auc")} source={auc} metric="eval_auc" format={plain} range={share} points />
        <MetricChart {...common} {...text("eval_loss")} source={evaluation} metric="eval_loss" format={plain} points />
        <MetricChart {...common} {...text("learning_rate")} source={log} metric="learning_rate" format={exact} />
        <MetricChart
          {...common}
          {...text("grad_norm")}
          source={log}
          metric="grad_norm"
          format={plain}
          smoothing={smoothing}
        />
        <MetricChart {...common} {...text("throughput")} source={log} metric="tokens_per_second" format={count} />
      </SimpleGrid>
    </Stack>
  );
}

function VerdictText({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const accuracy = useRuns((state) => state.details[runId]?.eval.last("eval_accuracy") ?? null);
  const prepared = useRuns((state) => state.details[runId]?.prepared ?? null);
  const state = useRecord(runId, (record) => record.state);
  const evalSteps = useRecord(runId, (record) => record.config.stages[0]?.eval_steps);
  const majority = prepared?.majority_accuracy ?? null;
  const ngram = prepared?.ngram_accuracy ?? null;
  const kind = verdict(accuracy, majority, ngram);
  const tone = kind === "above_both" ? "good" : kind === "waiting" ? undefined : "warn";
  return (
    <div className="ng-notice" data-tone={tone}>
      {kind === "waiting"
        ? t("verdict.waiting", { steps: format.count(evalSteps) })
        : t(`verdict.${kind}`, {
            accuracy: formatPercent(accuracy),
            majority: formatPercent(majority),
            ngram: formatPercent(ngram),
          })}
      {state === "finished" &&
        (kind === "below_ngram" || kind === "below_majority") &&
        ` ${t("verdict.at_end_below_ngram")}`}
    </div>
  );
}
