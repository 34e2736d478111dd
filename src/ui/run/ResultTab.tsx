/** The final figures: against the baselines, how far probabilities can be trusted, how well the labels separate. */
import { SimpleGrid, Stack, Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { ResultEvent } from "../../stores/run-detail";
import { useRuns } from "../../stores/runs";
import { CalibrationPlot, Histogram } from "../charts/StillCharts";
import { formatPercent, formatValue } from "../common/format";
import { Section } from "../common/Page";
import { useFormat } from "../common/use-format";
import { distribution, meanReward } from "./scored";

const BINS = 24;
/** Figures with a name of their own, as [catalogue key, metric without its prefix, is a share]. */
const FIGURES = [
  ["accuracy", "accuracy", true],
  ["auc", "auc", false],
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
      <FigureTable runId={runId} result={result} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Calibration result={result} />
        <Distribution result={result} />
      </SimpleGrid>
    </Stack>
  );
}

function FigureTable({ runId, result }: { readonly runId: string; readonly result: ResultEvent }) {
  const { t } = useTranslation();
  const prepared = useRuns((state) => state.details[runId]?.prepared ?? null);
  const { metrics } = result;
  const hasTest = Object.keys(metrics).some((key) => key.startsWith("test_"));
  const value = (key: string, share: boolean) => {
    const number = metrics[key] ?? null;
    return share ? formatPercent(number) : formatValue(number);
  };
  const rows = FIGURES.filter(([, name]) => `eval_${name}` in metrics || `test_${name}` in metrics);
  const baseline = (name: "majority" | "ngram" | "ngram_auc") => {
    const validation = {
      majority: prepared?.majority_accuracy,
      ngram: prepared?.ngram_accuracy,
      ngram_auc: prepared?.ngram_auc,
    }[name];
    const key = { majority: "majority_accuracy", ngram: "ngram_accuracy", ngram_auc: "ngram_auc" }[name];
    const write = (number: number | null | undefined) =>
      name === "ngram_auc" ? formatValue(number) : formatPercent(number);
    return { test: write(metrics[key]), validation: write(validation) };
  };
  const named = new Set([
    "majority_accuracy",
    "ngram_accuracy",
    "ngram_auc",
    ...FIGURES.flatMap(([, name]) => [`eval_${name}`, `test_${name}`]),
  ]);
  const others = Object.entries(metrics).filter(([key]) => !named.has(key));
  return (
    <Section title={t("result.figures")}>
      <Table.ScrollContainer
        minWidth={360}
        scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": t("result.figures") } }}
      >
        <Table className="ng-numeric" aria-label={t("result.figures")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("result.figure")}</Table.Th>
              {hasTest && <Table.Th scope="col">{t("result.test")}</Table.Th>}
              <Table.Th scope="col">{t("result.validation")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map(([label, name, share], i) => (
              <Table.Tr key={name} fw={i === 0 ? 650 : undefined}>
                <Table.Th scope="row" fw="inherit">
                  {t(`result.${label}`)}
                </Table.Th>
                {hasTest && <Table.Td>{value(`test_${name}`, share)}</Table.Td>}
                <Table.Td>{value(`eval_${name}`, share)}</Table.Td>
              </Table.Tr>
            ))}
            {(["majority", "ngram", "ngram_auc"] as const).map((name) => (
              <Table.Tr key={name} c="dimmed">
                <Table.Th scope="row" fw="inherit">
                  {t(`result.${name}`)}
                </Table.Th>
                {hasTest && <Table.Td>{baseline(name).test}</Table.Td>}
                <Table.Td>{baseline(name).validation}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {others.length > 0 && (
        <details className="ng-more">
          <summary>{t("result.other")}</summary>
          <Table className="ng-numeric" aria-label={t("result.other")}>
            <Table.Tbody>
              {others.map(([key, number]) => (
                <Table.Tr key={key}>
                  <Table.Th scope="row" ff="monospace" fw={400}>
                    {key}
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
      <Table.ScrollContainer
        minWidth={320}
        scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": t("result.calibration") } }}
      >
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
      </Table.ScrollContainer>
    </Section>
  );
}

function Distribution({ result }: { readonly result: ResultEvent }) {
  const { t } = useTranslation();
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
            format={(value) => formatValue(value, 3)}
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
