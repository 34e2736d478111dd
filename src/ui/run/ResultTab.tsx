/** The final figures: against the baselines, how far probabilities can be trusted, how well the labels separate. */
import { Stack, Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { ResultEvent } from "../../stores/run-detail";
import { useRuns } from "../../stores/runs";
import { CalibrationPlot, Histogram } from "../charts/StillCharts";
import { formatPercent, formatTick, formatValue } from "../common/format";
import { Section } from "../common/Page";
import { useFormat } from "../common/use-format";
import { distribution, meanReward } from "./scored";
import { VerdictNotice } from "./VerdictNotice";

const BINS = 24;
const BASELINES: ReadonlySet<string> = new Set(["ngram_accuracy", "majority_accuracy", "ngram_auc"]);
/** Figures with a name of their own, as [catalogue key, metric without its prefix, is a share]; baselines follow what they are for. */
const FIGURES = [
  ["accuracy", "accuracy", true],
  ["ngram", "ngram_accuracy", true],
  ["majority", "majority_accuracy", true],
  ["auc", "auc", false],
  ["ngram_auc", "ngram_auc", false],
  ["loss", "loss", false],
  ["ece", "calibration_error", false],
  ["pairwise", "pairwise_accuracy", true],
  ["mean_reward", "mean_reward", false],
  ["margin", "margin", false],
  ["length_bias", "length_correlation", false],
] as const;

export function ResultTab({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const result = useRuns((state) => state.details[runId]?.result ?? null);
  if (result === null)
    return (
      <Section title={t("result.waiting_title")}>
        <Text c="dimmed">{t("result.waiting")}</Text>
      </Section>
    );
  return (
    <Stack gap="md">
      <FinalVerdict result={result} />
      <FigureTable result={result} />
      <Distribution result={result} />
      <Calibration result={result} />
    </Stack>
  );
}

function FinalVerdict({ result: { metrics } }: { readonly result: ResultEvent }) {
  const values = {
    accuracy: metrics.test_accuracy ?? metrics.eval_accuracy ?? null,
    majority: metrics.majority_accuracy ?? null,
    ngram: metrics.ngram_accuracy ?? null,
  };
  return <VerdictNotice {...values} final />;
}

function FigureTable({ result }: { readonly result: ResultEvent }) {
  const { t } = useTranslation();
  const { metrics } = result;
  const tested = "test_accuracy" in metrics;
  const key = (split: "test" | "eval", name: string) =>
    // The baselines' figures on the rows of the final test carry no prefix.
    split === "test" && BASELINES.has(name) ? name : `${split}_${name}`;
  const value = (metric: string, share: boolean) =>
    share ? formatPercent(metrics[metric]) : formatValue(metrics[metric]);
  const rows = FIGURES.filter(([, name]) => key("eval", name) in metrics || key("test", name) in metrics);
  const named = new Set(FIGURES.flatMap(([, name]) => [key("eval", name), key("test", name)]));
  const others = Object.entries(metrics).filter(([name]) => !named.has(name));
  return (
    <Section title={t("result.figures")}>
      <Table className="ng-numeric" aria-label={t("result.figures")}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th scope="col">{t("result.figure")}</Table.Th>
            {tested && <Table.Th scope="col">{t("result.test")}</Table.Th>}
            <Table.Th scope="col">{t("result.validation")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map(([label, name, share]) => (
            <Table.Tr key={name} className={BASELINES.has(name) ? "ng-baseline" : undefined}>
              <Table.Th scope="row">{t(`result.${label}`)}</Table.Th>
              {tested && <Table.Td>{value(key("test", name), share)}</Table.Td>}
              <Table.Td>{value(key("eval", name), share)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      {others.length > 0 && (
        <details className="ng-more">
          <summary>{t("result.other")}</summary>
          <Table className="ng-numeric" aria-label={t("result.other")}>
            <Table.Tbody>
              {others.map(([name, number]) => (
                <Table.Tr key={name}>
                  <Table.Th scope="row" ff="monospace" fw={400}>
                    {name}
                  </Table.Th>
                  <Table.Td>{formatValue(number)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </details>
      )}
    </Section>
  );
}

function Calibration({ result }: { readonly result: ResultEvent }) {
  const { t } = useTranslation();
  const format = useFormat();
  const bins = result.calibration.filter((bin) => bin.count > 0);
  const total = bins.reduce((sum, bin) => sum + bin.count, 0);
  const interval = (bin: (typeof bins)[number]) => `${formatPercent(bin.low, 0)}–${formatPercent(bin.high, 0)}`;
  return (
    <Section title={t("result.calibration")} help={t("result.calibration_help")}>
      <div className="ng-calibration">
        <CalibrationPlot
          bins={result.calibration}
          label={t("result.calibration_chart", { bins: bins.length, count: format.count(total) })}
          xLabel={t("result.calibration_x")}
          yLabel={t("result.calibration_y")}
          perfectLabel={t("result.calibration_perfect")}
          hint={(bin) =>
            `${formatPercent(bin.mean_predicted)} → ${formatPercent(bin.share_positive)} (${t("common.rows_count", { count: bin.count })})`
          }
        />
        <Table className="ng-numeric" aria-label={t("result.calibration")} fz="xs">
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("result.calibration_bin")}</Table.Th>
              <Table.Th scope="col">{t("result.calibration_count")}</Table.Th>
              <Table.Th scope="col">{t("result.calibration_x")}</Table.Th>
              <Table.Th scope="col">{t("result.calibration_y")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {bins.map((bin) => (
              <Table.Tr key={bin.low}>
                <Table.Th scope="row" fw={400}>
                  {interval(bin)}
                </Table.Th>
                <Table.Td>{format.count(bin.count)}</Table.Td>
                <Table.Td>{formatPercent(bin.mean_predicted)}</Table.Td>
                <Table.Td>{formatPercent(bin.share_positive)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </Section>
  );
}

function Distribution({ result }: { readonly result: ResultEvent }) {
  const { t } = useTranslation();
  const threshold = result.metrics.eval_threshold ?? 0;
  const format = useFormat();
  const { samples } = result;
  const bins = distribution(samples, BINS);
  const count = (label: "positive" | "negative") => samples.filter((sample) => sample.label === label).length;
  const values = {
    positive: format.count(count("positive")),
    negative: format.count(count("negative")),
    positiveMean: formatValue(meanReward(samples, "positive"), 3),
    negativeMean: formatValue(meanReward(samples, "negative"), 3),
  };
  return (
    <Section title={t("result.distribution")} help={t("result.distribution_help")}>
      {bins.length === 0 ? (
        <Text c="dimmed">{t("result.no_samples")}</Text>
      ) : (
        <Stack gap="xs">
          <div className="ng-chart-readout">
            {(["negative", "positive"] as const).map((label) => (
              <span key={label}>
                <span className="ng-dot" style={{ color: `var(--ng-${label})` }} /> {t(`common.${label}`)}{" "}
                <b>{values[label]}</b> ({t("result.mean", { value: values[`${label}Mean`] })})
              </span>
            ))}
          </div>
          <Histogram
            bins={bins}
            colors={["--ng-negative", "--ng-positive"]}
            label={t("result.distribution_chart", values)}
            axis={t("result.distribution_x")}
            format={(value) => formatTick(value)}
            marker={{ value: threshold, label: t("result.threshold") }}
            formatCount={format.count}
            hint={(bin) =>
              `${t("result.distribution_range", { low: formatValue(bin.low, 3), high: formatValue(bin.high, 3) })}: ${t("common.negative")} ${bin.counts[0] ?? 0}, ${t("common.positive")} ${bin.counts[1] ?? 0}`
            }
            height={260}
          />
        </Stack>
      )}
    </Section>
  );
}
