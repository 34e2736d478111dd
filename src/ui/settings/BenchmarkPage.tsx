/** How fast this browser's GPU multiplies matrices, and how much of that a training step gets. */
import { Anchor, Button, Group, Progress, Stack, Table, Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { BenchmarkResult } from "../../shared/protocol/benchmark";
import { useBenchmark } from "../../stores/benchmark";
import { useEnvironment } from "../../stores/environment";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatPercent } from "../common/format";
import { Facts, Page, Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";

/** Three digits that matter, whatever the size: 0.84, 12.3, 1,250. */
function figure(value: number, language: string): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(
    value,
  );
}

function Shapes({ result }: { readonly result: BenchmarkResult }) {
  const { t } = useTranslation();
  const { language } = useFormat();
  return (
    <Section
      title={t("benchmark.products")}
      help={t("benchmark.products_help", { peak: figure(result.matmulPeakGflops, language) })}
    >
      <Table.ScrollContainer
        minWidth={560}
        scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": t("benchmark.products") } }}
      >
        <Table aria-label={t("benchmark.products")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("benchmark.layer")}</Table.Th>
              <Table.Th scope="col">{t("benchmark.pass")}</Table.Th>
              <Table.Th scope="col" ta="right">
                {t("benchmark.size")}
              </Table.Th>
              <Table.Th scope="col" ta="right">
                {t("benchmark.fastest")}
              </Table.Th>
              <Table.Th scope="col" ta="right">
                {t("benchmark.taken")}
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {result.shapes.map(({ name, layout, M, N, K, variant, gflops, chosen, chosenGflops }) => (
              <Table.Tr key={`${name} ${layout}`}>
                <Table.Td>{name}</Table.Td>
                <Table.Td>{t(`benchmark.layouts.${layout}`)}</Table.Td>
                <Table.Td ta="right" className="ng-number">
                  {M} × {N} × {K}
                </Table.Td>
                <Table.Td ta="right" className="ng-number">
                  {figure(gflops, language)} <Rate kernel={variant} />
                </Table.Td>
                <Table.Td ta="right" className="ng-number">
                  {figure(chosenGflops, language)} <Rate kernel={chosen} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Section>
  );
}

function Rate({ kernel }: { readonly kernel: string }) {
  return (
    <Text span size="xs" c="dimmed">
      GFLOP/s
      <br />
      {kernel}
    </Text>
  );
}

function Step({ result }: { readonly result: BenchmarkResult }) {
  const { t } = useTranslation();
  const { language, count, time } = useFormat();
  const { step } = result;
  return (
    <Section title={t("benchmark.step")} help={t("benchmark.step_help")}>
      <Stack gap="md">
        <div>
          <Text component="p" fz={40} fw={600} lh={1.1} className="ng-number">
            {formatPercent(result.shareOfPeak, 0)}
          </Text>
          <Text size="sm" c="dimmed">
            {t("benchmark.share", {
              rate: figure(result.stepFlops / result.stepMs / 1e6, language),
              peak: figure(result.matmulPeakGflops, language),
            })}
          </Text>
        </div>
        <Facts
          columns
          facts={[
            { label: t("benchmark.step_ms"), value: `${figure(result.stepMs, language)} ms` },
            { label: t("benchmark.tokens"), value: count(result.tokensPerSecond) },
            {
              label: t("benchmark.model"),
              value: t("benchmark.model_text", {
                hidden: step.hidden_size,
                layers: step.num_hidden_layers,
                vocabulary: count(step.vocab_size),
                texts: step.texts,
                length: step.length,
              }),
            },
            { label: t("benchmark.adapter"), value: result.adapter },
            { label: t("benchmark.when"), value: time(result.measuredAt) },
            { label: t("benchmark.runs"), value: t("benchmark.runs_text", { count: result.runs }) },
          ]}
        />
      </Stack>
    </Section>
  );
}

export function BenchmarkPage() {
  const { t } = useTranslation();
  const { loaded, loadError, result, progress, stopping, load, run, stop } = useBenchmark();
  const { webgpu, adapter } = useEnvironment();
  const action = useAction();
  useEffect(() => {
    void load();
  }, [load]);
  const possible = webgpu === "available" || webgpu === "unknown";
  const share = progress === null ? 0 : (100 * progress.done) / progress.total;
  return (
    <Page
      title={t("benchmark.title")}
      lead={t("benchmark.lead")}
      back={
        <Anchor component={Link} to="/settings" size="sm">
          {t("benchmark.back")}
        </Anchor>
      }
      actions={
        progress === null ? (
          <Button disabled={!possible} onClick={() => void action.run(run)}>
            {t(result === null ? "benchmark.run" : "benchmark.again")}
          </Button>
        ) : (
          <Button variant="default" disabled={stopping} onClick={() => void action.run(stop)}>
            {t(stopping ? "benchmark.stopping" : "benchmark.stop")}
          </Button>
        )
      }
    >
      <div aria-live="polite">
        {progress !== null && (
          <Stack gap={6}>
            <Text size="sm">{t("benchmark.running")}</Text>
            <Progress value={share} aria-label={t("benchmark.progress")} size="lg" />
          </Stack>
        )}
      </div>
      {action.error !== null && <ErrorPanel error={action.error} />}
      {loadError !== null && <ErrorPanel error={loadError} />}
      {!possible && <Text>{t("support.banner")}</Text>}
      {adapter?.fallback === true && <Text size="sm">{t("benchmark.software")}</Text>}
      {result === null && loaded && loadError === null && progress === null && (
        <Section title={t("benchmark.none")}>
          <Text size="sm">{t("benchmark.none_text")}</Text>
        </Section>
      )}
      {result !== null && (
        <>
          <Step result={result} />
          <Shapes result={result} />
          <Section title={t("benchmark.how")}>
            <Group maw={760}>
              <Text size="sm">{t("benchmark.how_text")}</Text>
            </Group>
          </Section>
        </>
      )}
    </Page>
  );
}
