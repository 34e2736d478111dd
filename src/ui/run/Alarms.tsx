/** What is wrong with a run: seen, why it matters, what to try. Nothing while all is well. */
import { Anchor, Button, Group, Stack, Text } from "@mantine/core";
import { IconAlertTriangle, IconHistory } from "@tabler/icons-react";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { type Alarm, checkAlarms } from "../../shared/alarms/check";
import { ALARMS } from "../../shared/alarms/table";
import { alarmText } from "../../shared/alarms/texts";
import { stageOf } from "../../shared/protocol/run";
import { useRuns } from "../../stores/runs";
import { useFormat } from "../common/use-format";
import { changesQuery } from "../pipeline/changes";
import { useRecord } from "./use-run";

/** The alarms of a run, recomputed with its events. */
export function useAlarms(runId: string): readonly Alarm[] {
  const detail = useRuns((state) => state.details[runId]);
  const stage = useRecord(runId, stageOf);
  return useMemo(
    () =>
      detail === undefined || stage === undefined
        ? []
        : checkAlarms({
            stage,
            log: detail.log,
            eval: detail.eval,
            majorityAccuracy: detail.prepared?.baselines?.majority_accuracy ?? null,
            diverged: detail.diverged,
          }),
    [detail, stage],
  );
}

export function Alarms({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const alarms = useAlarms(runId);
  const active = alarms.filter((alarm) => alarm.active);
  const passed = alarms.filter((alarm) => !alarm.active);
  if (alarms.length === 0) return null;
  return (
    <Stack gap="xs" component="section" aria-label={t("alarms.title")}>
      {active.map((alarm, index) => (
        <AlarmPanel key={alarm.code} runId={runId} alarm={alarm} open={index === 0} />
      ))}
      {passed.length > 0 && (
        <details className="ng-more">
          <summary>{t("alarms.passed", { count: passed.length })}</summary>
          <Stack gap="xs" mt="xs">
            {passed.map((alarm) => (
              <AlarmPanel key={alarm.code} runId={runId} alarm={alarm} open={false} />
            ))}
          </Stack>
        </details>
      )}
    </Stack>
  );
}

interface AlarmPanelProps {
  readonly runId: string;
  readonly alarm: Alarm;
  readonly open: boolean;
}

function AlarmPanel({ runId, alarm, open }: AlarmPanelProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const stage = useRecord(runId, stageOf);
  const text = alarmText(alarm, format.language);
  const { source } = ALARMS[alarm.code];
  const remedy = alarm.remedy;
  const Icon = alarm.active ? IconAlertTriangle : IconHistory;
  return (
    <details className="ng-alarm" data-active={alarm.active || undefined} open={open}>
      <summary>
        <Icon size={17} stroke={1.8} aria-hidden />
        <b>{text.title}</b>
        <span className="ng-numeric">{t("alarms.since", { step: format.count(alarm.step) })}</span>
      </summary>
      <dl>
        <dt>{t("alarms.saw")}</dt>
        <dd className="ng-numeric">{text.saw}</dd>
        <dt>{t("alarms.why")}</dt>
        <dd>{text.why}</dd>
        <dt>{t("alarms.try")}</dt>
        <dd>
          {text.try}
          {remedy !== null && stage !== undefined && (
            <Group gap="xs" mt={6}>
              <Button
                component={Link}
                to={`/pipelines/new?${changesQuery({ from: runId, stage: stage.id, changes: remedy })}`}
                size="compact-sm"
                variant="light"
              >
                {t("alarms.remedy", {
                  changes: Object.entries(remedy)
                    .map(([name, value]) => `${name}: ${value}`)
                    .join(", "),
                })}
              </Button>
            </Group>
          )}
        </dd>
      </dl>
      <Text size="xs" c="dimmed" mt={6}>
        {t("alarms.source")}{" "}
        <Anchor href={source.url} target="_blank" rel="noreferrer" size="xs">
          {source.title}
        </Anchor>
      </Text>
    </details>
  );
}
