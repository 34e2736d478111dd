/** The numbers of a chart as a table: for screen readers, and for whoever wants to read rather than look. */
import { Table, Text } from "@mantine/core";
import { useCallback, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { useSettings } from "../../stores/settings";
import { formatCount } from "../common/format";
import { evenly } from "./decimate";
import type { PlotReference } from "./plot";
import type { ChartSource } from "./source";

const MAX_ROWS = 200;
/** The table is rebuilt at most this often while a run goes on, so that reading it stays possible. */
const REFRESH_MS = 2000;

export interface MetricTableProps {
  readonly title: string;
  readonly source: ChartSource;
  readonly metric: string;
  readonly format: (value: number) => string;
  readonly references: readonly PlotReference[];
}

export function MetricTable({ title, source, metric, format, references }: MetricTableProps) {
  const { t } = useTranslation();
  const language = useSettings((state) => state.language);
  const subscribe = useCallback(
    (listener: () => void) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = source.subscribe(() => {
        timer ??= setTimeout(() => {
          timer = undefined;
          listener();
        }, REFRESH_MS);
      });
      return () => {
        end();
        clearTimeout(timer);
      };
    },
    [source],
  );
  useSyncExternalStore(subscribe, () => {
    const series = source.read()?.series;
    return series === undefined ? "" : `${series.length}/${series.last("step")}`;
  });
  const series = source.read()?.series;
  const steps = series?.column("step") ?? [];
  const values = series?.column(metric) ?? [];
  const known = Array.from(steps, (_, row) => row).filter((row) => Number.isFinite(values[row]));
  const rows = evenly(known.length, MAX_ROWS).map((index) => known[index] ?? 0);
  return (
    <>
      {known.length > rows.length && (
        <Text size="xs" c="dimmed" mt="xs">
          {t("charts.table_thinned", { total: formatCount(known.length, language), shown: rows.length })}
        </Text>
      )}
      <Table.ScrollContainer
        minWidth={200}
        maxHeight={240}
        mt="xs"
        scrollAreaProps={{
          viewportProps: { tabIndex: 0, "aria-label": t("charts.table_caption", { title }), role: "region" },
        }}
      >
        <Table className="ng-numeric" stickyHeader aria-label={t("charts.table_caption", { title })}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("charts.step")}</Table.Th>
              <Table.Th scope="col">{title}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {references.map((reference) => (
              <Table.Tr key={reference.label}>
                <Table.Th scope="row">{reference.label}</Table.Th>
                <Table.Td>{format(reference.value)}</Table.Td>
              </Table.Tr>
            ))}
            {rows.map((row) => (
              <Table.Tr key={row}>
                <Table.Th scope="row">{formatCount(steps[row] ?? 0, language)}</Table.Th>
                <Table.Td>{format(values[row] ?? Number.NaN)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </>
  );
}
