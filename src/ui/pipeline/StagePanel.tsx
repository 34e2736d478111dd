/** The chosen stage of a pipeline: how far it is, what went in and what came out, its settings, and what to do next. */
import { Anchor, Button, Group, Progress, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChartLine, IconPlayerSkipForward } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { checkAlarms } from "../../shared/alarms/check";
import { alarmText } from "../../shared/alarms/texts";
import { BASE_SLOT, type StageConfig } from "../../shared/protocol/config";
import type { PipelineRecord } from "../../shared/protocol/pipeline";
import { dependants } from "../../shared/protocol/pipeline-inputs";
import { artefactOf, outputOf, slotsOf } from "../../shared/protocol/pipeline-slots";
import { usePipelines } from "../../stores/pipelines";
import { useRuns } from "../../stores/runs";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { writeNumber } from "../common/numbers";
import { type Fact, Facts, Section } from "../common/Page";
import { StateBadge } from "../common/StateBadge";
import { useFormat } from "../common/use-format";
import { StagePreflight } from "../preflight/StagePreflight";
import { RemoteNotice } from "../workers/RemoteNotice";
import { ChangePlace, StagePlaceFact } from "./ChangePlace";
import { useFieldText, useOptionText } from "./field-text";
import { fieldsOf } from "./fields";
import { keyFigure } from "./key-figure";
import { alternatives, optionsOf, type SchemaNode, stageNode } from "./schema";
import { alarmInput, lookup, progressOf } from "./stage-facts";

export interface StagePanelProps {
  readonly pipeline: PipelineRecord;
  readonly stageId: string;
}

export function StagePanel({ pipeline, stageId }: StagePanelProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const runs = useRuns((state) => state.runs);
  const details = useRuns((state) => state.details);
  const stage = pipeline.config.stages.find(({ id }) => id === stageId);
  const record = pipeline.stages.find(({ id }) => id === stageId);
  if (stage === undefined || record === undefined) return null;
  const progress = progressOf(pipeline, stageId, runs, details);
  const { state, step, total, run, detail } = progress;
  const figure = keyFigure(stage.stage, lookup(progress), t);
  const alarms = detail === undefined ? [] : checkAlarms(alarmInput(stage, detail)).filter(({ active }) => active);
  const share = total > 0 ? Math.min(1, step / total) : 0;
  const steps = t("run.step_of", { step: format.count(step), total: total > 0 ? format.count(total) : "–" });
  const facts: Fact[] = [
    ...(figure === "" ? [] : [{ label: t("pipeline.figure"), value: <b>{figure}</b> }]),
    { label: t("pipeline.place"), value: <StagePlaceFact pipeline={pipeline} stageId={stageId} /> },
    ...(run === undefined ? [] : [{ label: t("run.elapsed"), value: format.duration(run.seconds) }]),
    { label: t("pipeline.inputs"), value: <Inputs pipeline={pipeline} stage={stage} /> },
    {
      label: t("pipeline.output"),
      value:
        record.artefact === null ? (
          `${t(`artefact_kinds.${outputOf(stage)}`)} · ${t("pipeline.output_none")}`
        ) : (
          <>
            <Anchor component={Link} to={`/artefacts/${record.artefact}`} size="sm">
              {t(`artefact_kinds.${outputOf(stage)}`)} {record.artefact.slice(0, 8)}
            </Anchor>
            {record.reused && ` (${t("pipeline.reused")})`}
          </>
        ),
    },
  ];
  return (
    <Section title={`${t(`stages.${stage.stage}`)} (${stage.id})`} help={t(`stage_help.${stage.stage}`)}>
      <Stack gap="md">
        <div className="ng-status-head">
          <StateBadge state={state} />
          <Progress.Root size="md" className="ng-status-bar">
            <Progress.Section value={share * 100} aria-label={t("run.progress")} aria-valuetext={steps} />
          </Progress.Root>
          <span className="ng-numeric">{steps}</span>
        </div>
        {alarms.map((alarm) => (
          <div className="ng-notice" data-tone="warn" key={alarm.code}>
            {alarmText(alarm, format.language).title}: {alarmText(alarm, format.language).saw}
          </div>
        ))}
        {run?.error != null && run.error.code !== "run.interrupted" && <ErrorPanel error={run.error} />}
        {run !== undefined && <RemoteNotice run={run} />}
        <Facts facts={facts} />
        <Group gap="xs">
          {run !== undefined && (
            <Button
              component={Link}
              to={`/runs/${run.run_id}`}
              variant="light"
              leftSection={<IconChartLine size={16} aria-hidden />}
            >
              {t(stage.stage === "evaluate" && record.artefact !== null ? "pipeline.open_texts" : "pipeline.open_run")}
            </Button>
          )}
          <RunFrom pipeline={pipeline} stage={stage} begun={record.run_id !== null} />
          <ChangePlace pipeline={pipeline} stage={stage} />
        </Group>
        {state === "waiting" && pipeline.places[stageId]?.at !== "worker" && (
          <StagePreflight config={pipeline.config} stage={stageId} />
        )}
        <details className="ng-more">
          <summary>{t("pipeline.settings")}</summary>
          <Settings stage={stage} />
        </details>
      </Stack>
    </Section>
  );
}

function Inputs({ pipeline, stage }: { readonly pipeline: PipelineRecord; readonly stage: StageConfig }) {
  const { t } = useTranslation();
  return (
    <>
      {slotsOf(stage).map(({ slot, value }, index): ReactNode => {
        const made = artefactOf(value) ?? pipeline.stages.find(({ id }) => id === value)?.artefact ?? null;
        const name = value === BASE_SLOT ? t("pipeline.base") : artefactOf(value) === null ? value : value.slice(9, 17);
        return (
          <span key={slot}>
            {index > 0 && ", "}
            {made === null ? (
              name
            ) : (
              <Anchor component={Link} to={`/artefacts/${made}`} size="sm">
                {name}
              </Anchor>
            )}
          </span>
        );
      })}
    </>
  );
}

interface RunFromProps {
  readonly pipeline: PipelineRecord;
  readonly stage: StageConfig;
  readonly begun: boolean;
}

function RunFrom({ pipeline, stage, begun }: RunFromProps) {
  const { t } = useTranslation();
  const runFrom = usePipelines((state) => state.runFrom);
  const [asking, { open, close }] = useDisclosure();
  if (!begun || pipeline.state === "running") return null;
  return (
    <>
      <Button variant="default" leftSection={<IconPlayerSkipForward size={16} aria-hidden />} onClick={open}>
        {t("pipeline.run_from")}
      </Button>
      <ConfirmModal
        opened={asking}
        onClose={close}
        title={t("pipeline.run_from_title")}
        text={t("pipeline.run_from_text", { stages: dependants(pipeline.config, stage.id).join(", ") })}
        confirm={t("pipeline.run_from")}
        action={() => runFrom(pipeline.pipeline_id, stage.id)}
      />
    </>
  );
}

/** The settings as they are, in the form's words and order. */
function Settings({ stage }: { readonly stage: StageConfig }) {
  const fieldText = useFieldText();
  const optionText = useOptionText();
  const { t } = useTranslation();
  const { basic, advanced } = fieldsOf(stage.stage);
  const properties = stageNode(stage.stage).properties ?? {};
  const values = new Map<string, unknown>(Object.entries(stage));
  const written = (field: string, node: SchemaNode, value: unknown): string => {
    if (value === null || value === undefined) return t("common.none");
    if (typeof value === "number") return writeNumber(value);
    if (Array.isArray(value)) return value.join(", ");
    if (typeof value === "object")
      return Object.entries(value)
        .map(([name, one]) => {
          const inner = alternatives(node).find(({ properties: own }) => own !== undefined)?.properties?.[name] ?? {};
          return `${fieldText(`${field}.${name}`, inner).label}: ${written(`${field}.${name}`, inner, one)}`;
        })
        .join(" · ");
    const option = optionsOf(node).find((one) => one === value);
    return option === undefined ? String(value) : optionText(field, option);
  };
  const facts = [...basic, ...advanced].map((field): Fact => {
    const node = properties[field] ?? {};
    return { label: fieldText(field, node).label, value: written(field, node, values.get(field)) };
  });
  return <Facts facts={facts} />;
}
