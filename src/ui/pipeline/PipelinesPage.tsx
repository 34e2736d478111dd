/** Templates to start from, and the pipelines of this browser. */
import { ActionIcon, Anchor, Loader, Text } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { StageConfig } from "../../shared/protocol/config";
import { TEMPLATES } from "../../shared/protocol/defaults";
import type { PipelineRecord } from "../../shared/protocol/pipeline";
import { usePipelines } from "../../stores/pipelines";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page, Section } from "../common/Page";
import { StateBadge, stateColor } from "../common/StateBadge";
import { useFormat } from "../common/use-format";
import "./pipeline.css";

const NAMES = [
  "positive-reviews",
  "reward-only",
  "sft-only",
  "dpo-from-votes",
] as const satisfies readonly (keyof typeof TEMPLATES)[];

export function PipelinesPage() {
  const { t } = useTranslation();
  const { loaded, loadError, pipelines } = usePipelines();
  const remove = usePipelines((state) => state.delete);
  const [removing, setRemoving] = useState<PipelineRecord | null>(null);
  return (
    <Page title={t("pipelines.title")} lead={t("pipelines.lead")}>
      {loadError !== null && <ErrorPanel error={loadError} />}
      <Section title={t("pipelines.templates")}>
        <ul className="ng-templates">
          {NAMES.map((name) => (
            <li key={name}>
              <Link to={`/pipelines/new?template=${name}`} className="ng-template">
                <b>{t(`templates.${name}.title`)}</b>
                <p>{t(`templates.${name}.text`)}</p>
                <Chain stages={TEMPLATES[name].stages} />
              </Link>
            </li>
          ))}
        </ul>
      </Section>
      <Section title={t("pipelines.own")}>
        {!loaded ? (
          <Loader size="sm" aria-label={t("app.loading")} />
        ) : pipelines.length === 0 ? (
          <Text c="dimmed" size="sm">
            {t("pipelines.empty")}
          </Text>
        ) : (
          <ul className="ng-pipelines">
            {pipelines.map((pipeline) => (
              <Row key={pipeline.pipeline_id} pipeline={pipeline} onRemove={setRemoving} />
            ))}
          </ul>
        )}
      </Section>
      <ConfirmModal
        opened={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("pipelines.delete_title")}
        text={t("pipelines.delete_text", { name: removing?.name ?? "" })}
        confirm={t("common.delete")}
        action={async () => {
          if (removing !== null) await remove(removing.pipeline_id, { artefacts: true });
        }}
      />
    </Page>
  );
}

function Chain({ stages }: { readonly stages: readonly StageConfig[] }) {
  const { t } = useTranslation();
  return (
    <span className="ng-chain">
      {[...new Set(stages.map(({ stage }) => stage))].map((kind) => (
        <span key={kind}>{t(`stages.${kind}`)}</span>
      ))}
    </span>
  );
}

interface RowProps {
  readonly pipeline: PipelineRecord;
  readonly onRemove: (pipeline: PipelineRecord) => void;
}

function Row({ pipeline, onRemove }: RowProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const label = t("pipelines.delete_label", { name: pipeline.name });
  return (
    <li>
      <Anchor component={Link} to={`/pipelines/${pipeline.pipeline_id}`} fw={600} size="sm" className="ng-sentence">
        {pipeline.name}
      </Anchor>
      <StateBadge state={pipeline.state} />
      <span className="ng-stage-dots">
        {pipeline.stages.map((stage) => (
          <span key={stage.id} title={t(`state.${stage.state}`)}>
            <span className="ng-dot" style={{ color: `var(${stateColor(stage.state)})` }} />
            {stage.id}
          </span>
        ))}
      </span>
      <Text size="xs" c="dimmed">
        {format.time(pipeline.created)}
      </Text>
      <ActionIcon variant="subtle" color="gray" aria-label={label} title={label} onClick={() => onRemove(pipeline)}>
        <IconTrash size={16} />
      </ActionIcon>
    </li>
  );
}
