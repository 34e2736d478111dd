/**
 * A curve of a run with its read-out, its reference lines and, as the same thing in words, a table. The canvas takes its
 * colours when it is made: give the component another `key` when the colour scheme changes.
 */
import { ActionIcon, Group, Text, Tooltip } from "@mantine/core";
import { IconTable, IconTableOff, IconZoomReset } from "@tabler/icons-react";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { MetricTable } from "./MetricTable";
import { type PlotSettings, usePlot } from "./use-plot";
import "uplot/dist/uPlot.min.css";
import "./charts.css";

type Optional = "smoothing" | "points" | "height";

export interface MetricChartProps extends Omit<PlotSettings, Optional>, Partial<Pick<PlotSettings, Optional>> {
  /** One line on how to read the curve. */
  readonly help: string;
}

export function MetricChart({ help, smoothing = null, points = false, height = 190, ...rest }: MetricChartProps) {
  const { title, source, metric, format } = rest;
  const { t } = useTranslation();
  const { canvas, readout, zoomed, resetZoom, empty, references } = usePlot({ ...rest, smoothing, points, height });
  const [table, setTable] = useState(false);
  const titleId = useId();
  return (
    <figure className="ng-chart" aria-labelledby={titleId}>
      <div className="ng-chart-head">
        <Text component="figcaption" id={titleId} fw={600} fz={14}>
          {title}
        </Text>
        <Group gap={2} wrap="nowrap">
          {zoomed && (
            <Tooltip label={t("charts.reset_zoom")}>
              <ActionIcon
                variant="subtle"
                size="sm"
                color="gray"
                aria-label={t("charts.reset_zoom")}
                onClick={resetZoom}
              >
                <IconZoomReset size={16} />
              </ActionIcon>
            </Tooltip>
          )}
          <Tooltip label={table ? t("charts.table_hide") : t("charts.table_show")}>
            <ActionIcon
              variant="subtle"
              size="sm"
              color="gray"
              aria-label={`${title}: ${table ? t("charts.table_hide") : t("charts.table_show")}`}
              aria-expanded={table}
              onClick={() => setTable(!table)}
            >
              {table ? <IconTableOff size={16} /> : <IconTable size={16} />}
            </ActionIcon>
          </Tooltip>
        </Group>
      </div>
      <p className="ng-chart-help">{help}</p>
      <div className="ng-chart-readout" ref={readout} />
      <div className="ng-chart-canvas" ref={canvas} role="img" style={{ height }}>
        {empty && (
          <div className="ng-chart-empty">
            <span>{t("charts.empty")}</span>
          </div>
        )}
      </div>
      {table && <MetricTable title={title} source={source} metric={metric} format={format} references={references} />}
    </figure>
  );
}
