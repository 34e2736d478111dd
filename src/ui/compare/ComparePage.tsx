/** Two or more runs over one another, and what is different in their settings. */
import {
  Checkbox,
  Group,
  MultiSelect,
  SegmentedControl,
  Switch,
  Table,
  Text,
  useComputedColorScheme,
} from "@mantine/core";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useSearchParams } from "react-router";
import { type RunRecord, stageOf } from "../../shared/protocol/run";
import { useRuns } from "../../stores/runs";
import { isMetric, METRICS } from "../charts/metrics";
import { Page, Section } from "../common/Page";
import { StateBadge } from "../common/StateBadge";
import { useFormat } from "../common/use-format";
import { STAGE_CHARTS } from "../run/stage-charts";
import { configDiff } from "./diff";
import { OverlayChart, type OverlayRun } from "./OverlayChart";
import "../run/run.css";
import "./compare.css";

const COLORS = ["--ng-run-1", "--ng-run-2", "--ng-run-3", "--ng-run-4", "--ng-run-5", "--ng-run-6"] as const;
const SMOOTHINGS = [0, 0.6, 0.9, 0.98] as const;
/** Of the charts that are drawn without a choice. */
const FIRST_METRICS = 4;
const NO_METRIC = new Set(["step", "time"]);

export function ComparePage() {
  const { t } = useTranslation();
  const [query, setQuery] = useSearchParams();
  const runs = useRuns((state) => state.runs);
  const open = useRuns((state) => state.open);
  const scheme = useComputedColorScheme("light");
  const change = (name: string, value: string) => {
    const next = new URLSearchParams(query);
    if (value === "") next.delete(name);
    else next.set(name, value);
    setQuery(next, { replace: true });
  };
  const wanted = query.get("runs") ?? "";
  const chosen = useMemo(
    () =>
      wanted
        .split(",")
        .flatMap((id) => runs.find((run) => run.run_id === id) ?? [])
        .slice(0, COLORS.length),
    [wanted, runs],
  );
  const ids = chosen.map((run) => run.run_id).join(",");
  useEffect(() => {
    // A subscription that fails leaves an empty curve; the run's own screen says why.
    for (const id of ids.split(",")) if (id !== "") open(id).catch(() => undefined);
  }, [ids, open]);

  const axis = query.get("x") === "time" ? "time" : "step";
  const log = query.get("log") === "1";
  const smoothing = SMOOTHINGS.find((weight) => String(weight) === query.get("smooth")) ?? 0;
  const available = useAvailable(ids);
  const metrics =
    query
      .get("metrics")
      ?.split(",")
      .filter((metric) => metric !== "") ?? defaultMetrics(chosen, available);
  const names = useNames(chosen);
  const overlays = useMemo(
    () =>
      ids
        .split(",")
        .flatMap((runId, i): OverlayRun[] =>
          runId === "" ? [] : [{ runId, name: names.split("\n")[i] ?? runId, color: COLORS[i] ?? COLORS[0] }],
        ),
    [ids, names],
  );
  const label = (metric: string) =>
    isMetric(metric) ? `${t(`metrics.${METRICS[metric].slug}.label`)} · ${metric}` : metric;
  return (
    <Page title={t("compare.title")} lead={t("compare.lead")}>
      <Section title={t("compare.runs")} help={t("compare.limit", { count: COLORS.length })}>
        {runs.length === 0 ? (
          <Text c="dimmed">{t("compare.none")}</Text>
        ) : (
          <RunChoice
            runs={runs}
            chosen={chosen.map((run) => run.run_id)}
            onChange={(next) => change("runs", next.join(","))}
          />
        )}
      </Section>
      {chosen.length === 0 ? (
        <Text c="dimmed">{t("compare.choose")}</Text>
      ) : (
        <>
          <Group gap="md" align="flex-end">
            <MultiSelect
              label={t("compare.metrics")}
              flex="1 1 340px"
              data={[...new Set([...available, ...metrics])].map((metric) => ({ value: metric, label: label(metric) }))}
              value={metrics}
              onChange={(value) => change("metrics", value.join(","))}
              searchable
            />
            <Labelled label={t("compare.axis")}>
              <SegmentedControl
                aria-label={t("compare.axis")}
                value={axis}
                onChange={(value) => change("x", value === "time" ? "time" : "")}
                data={[
                  { value: "step", label: t("compare.axis_step") },
                  { value: "time", label: t("compare.axis_time") },
                ]}
              />
            </Labelled>
            <Labelled label={t("compare.smoothing")}>
              <SegmentedControl
                aria-label={t("compare.smoothing")}
                value={String(smoothing)}
                onChange={(value) => change("smooth", value === "0" ? "" : value)}
                data={SMOOTHINGS.map((weight) => ({
                  value: String(weight),
                  label: weight === 0 ? t("compare.smoothing_off") : String(weight),
                }))}
              />
            </Labelled>
            <Switch
              mb={8}
              label={t("compare.log")}
              checked={log}
              onChange={(event) => change("log", event.currentTarget.checked ? "1" : "")}
            />
          </Group>
          <Legend runs={overlays} />
          <Text size="xs" c="dimmed">
            {smoothing > 0 ? t("compare.smooth_note", { weight: smoothing }) : t("compare.raw_note")}
            {log && ` ${t("compare.log_note")}`} {t("charts.zoom_hint")}
          </Text>
          {/* The key draws the canvases anew in the colours of the other scheme. */}
          <div className="ng-charts" data-size="large" key={scheme}>
            {metrics.map((metric) => (
              <OverlayChart key={metric} metric={metric} runs={overlays} axis={axis} log={log} smoothing={smoothing} />
            ))}
          </div>
          {chosen.length > 1 && <ConfigDiff runs={chosen} overlays={overlays} />}
        </>
      )}
    </Page>
  );
}

/** Metrics that any of the runs has logged, in the order they appeared. */
function useAvailable(ids: string): readonly string[] {
  const joined = useRuns((state) => {
    const keys = ids.split(",").flatMap((id) => {
      const detail = state.details[id];
      return detail === undefined ? [] : [...detail.log.keys(), ...detail.eval.keys()];
    });
    return [...new Set(keys)].filter((key) => !NO_METRIC.has(key)).join("\n");
  });
  return useMemo(() => (joined === "" ? [] : joined.split("\n")), [joined]);
}

/** What the first run's own screen shows in large. */
function defaultMetrics(runs: readonly RunRecord[], available: readonly string[]): string[] {
  const [first] = runs;
  const main =
    first === undefined
      ? []
      : STAGE_CHARTS[stageOf(first).stage].flatMap(({ charts }) =>
          charts.flatMap(({ metric, size }) => (size === "large" ? [metric] : [])),
        );
  return main.filter((metric) => available.includes(metric)).slice(0, FIRST_METRICS);
}

/** Names that tell the runs apart, one a line: equal names get their seed, then a number. */
function useNames(runs: readonly RunRecord[]): string {
  const plain = runs.map((run) => `${run.config.name} / ${run.stage}`);
  const seeded = plain.map((name, i) =>
    plain.indexOf(name) === plain.lastIndexOf(name) ? name : `${name} (${runs[i]?.config.seed})`,
  );
  return seeded
    .map((name, i) => (seeded.indexOf(name) === seeded.lastIndexOf(name) ? name : `${name} #${i + 1}`))
    .join("\n");
}

function Labelled({ label, children }: { readonly label: string; readonly children: ReactNode }) {
  return (
    <div>
      <Text size="sm" fw={500} aria-hidden>
        {label}
      </Text>
      {children}
    </div>
  );
}

function Legend({ runs }: { readonly runs: readonly OverlayRun[] }) {
  const { t } = useTranslation();
  return (
    <ul className="ng-legend" aria-label={t("compare.legend")}>
      {runs.map(({ runId, name, color }) => (
        <li key={runId}>
          <span className="ng-swatch" style={{ color: `var(${color})` }} />
          <Link to={`/runs/${runId}`}>{name}</Link>
        </li>
      ))}
    </ul>
  );
}

interface RunChoiceProps {
  readonly runs: readonly RunRecord[];
  readonly chosen: readonly string[];
  readonly onChange: (chosen: readonly string[]) => void;
}

function RunChoice({ runs, chosen, onChange }: RunChoiceProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const full = chosen.length >= COLORS.length;
  return (
    <ul className="ng-choice">
      {runs.map((run) => {
        const on = chosen.includes(run.run_id);
        return (
          <li key={run.run_id}>
            <Checkbox
              size="sm"
              checked={on}
              disabled={full && !on}
              label={`${run.config.name} / ${t(`stages.${stageOf(run).stage}`)} (${run.stage})`}
              onChange={(event) =>
                onChange(
                  event.currentTarget.checked ? [...chosen, run.run_id] : chosen.filter((id) => id !== run.run_id),
                )
              }
            />
            <StateBadge state={run.state} />
            <span className="ng-numeric">
              {t("run.step_of", { step: format.count(run.step), total: format.count(run.total_steps) })}
            </span>
            <span>{format.time(run.created)}</span>
          </li>
        );
      })}
    </ul>
  );
}

interface ConfigDiffProps {
  readonly runs: readonly RunRecord[];
  readonly overlays: readonly OverlayRun[];
}

function ConfigDiff({ runs, overlays }: ConfigDiffProps) {
  const { t } = useTranslation();
  const [all, setAll] = useState(false);
  const diff = useMemo(() => configDiff(runs), [runs]);
  const rows = all ? diff : diff.filter(({ differs }) => differs);
  return (
    <Section
      title={t("compare.config")}
      actions={
        <Switch
          size="xs"
          label={t("compare.config_all")}
          checked={all}
          onChange={(event) => setAll(event.currentTarget.checked)}
        />
      }
    >
      {rows.length === 0 ? (
        <Text c="dimmed">{t("compare.config_same")}</Text>
      ) : (
        <Table.ScrollContainer
          minWidth={480}
          scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": t("compare.config") } }}
        >
          <Table className="ng-numeric ng-diff" aria-label={t("compare.config")}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">{t("compare.setting")}</Table.Th>
                {overlays.map(({ runId, name, color }) => (
                  <Table.Th scope="col" key={runId}>
                    <span className="ng-swatch" style={{ color: `var(${color})` }} />
                    {name}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map(({ setting, values, differs }) => (
                <Table.Tr key={setting} data-differs={(all && differs) || undefined}>
                  <Table.Th scope="row" fw={400}>
                    <code>{setting}</code>
                  </Table.Th>
                  {values.map((value, i) => (
                    <Table.Td key={overlays[i]?.runId ?? i}>{value ?? "–"}</Table.Td>
                  ))}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Section>
  );
}
