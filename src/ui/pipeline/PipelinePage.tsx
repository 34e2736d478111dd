/** A pipeline at work: its stages as a graph, and beside it the chosen one. */
import { Anchor, Button, Loader, Text, VisuallyHidden } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDownload, IconPlayerPause, IconPlayerPlay, IconPlayerStop, IconRepeat } from "@tabler/icons-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams, useSearchParams } from "react-router";
import type { PipelineRecord } from "../../shared/protocol/pipeline";
import { useModels } from "../../stores/models";
import { usePipelines } from "../../stores/pipelines";
import { useRuns } from "../../stores/runs";
import { ConfirmModal } from "../common/ConfirmModal";
import { download, safeFileName } from "../common/download";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page, Section } from "../common/Page";
import { StateBadge } from "../common/StateBadge";
import { useAction } from "../common/use-action";
import { modelLabel } from "../data/references";
import { Graph } from "./Graph";
import { StagePanel } from "./StagePanel";
import { useStageFacts } from "./stage-facts";

export function PipelinePage() {
  const { pipelineId = "" } = useParams();
  const { t } = useTranslation();
  const loaded = usePipelines((state) => state.loaded);
  const loadError = usePipelines((state) => state.loadError);
  const pipeline = usePipelines((state) => state.pipelines.find((one) => one.pipeline_id === pipelineId));
  if (!loaded)
    return (
      <Page title={t("app.loading")}>
        <Loader size="sm" aria-label={t("app.loading")} />
      </Page>
    );
  if (pipeline === undefined)
    return (
      <Page title={t("pipeline.not_found_title")}>
        {loadError === null ? <Text>{t("pipeline.not_found")}</Text> : <ErrorPanel error={loadError} />}
        <div>
          <Button component={Link} to="/pipelines">
            {t("pipeline.to_list")}
          </Button>
        </div>
      </Page>
    );
  return <Pipeline pipeline={pipeline} />;
}

function Pipeline({ pipeline }: { readonly pipeline: PipelineRecord }) {
  const { t } = useTranslation();
  const [query, setQuery] = useSearchParams();
  const models = useModels((state) => state.entries);
  const open = useRuns((state) => state.open);
  const facts = useStageFacts(pipeline);
  const { config, stages, state, error } = pipeline;
  // Without a choice: the stage at work, else the first that is not done, else the last.
  const current =
    stages.find((stage) => stage.state === "running" || stage.state === "preparing") ??
    stages.find((stage) => stage.state !== "finished") ??
    stages.at(-1);
  const selected = stages.find((stage) => stage.id === query.get("stage")) ?? current;
  const runIds = stages.flatMap((stage) => stage.run_id ?? []).join("\n");
  useEffect(() => {
    // A subscription that fails leaves the stored state; the run's own screen tells of it.
    for (const runId of runIds.split("\n")) if (runId !== "") open(runId).catch(() => undefined);
  }, [runIds, open]);
  return (
    <Page
      title={pipeline.name}
      back={
        <Anchor component={Link} to="/pipelines" size="sm">
          ← {t("nav.pipelines")}
        </Anchor>
      }
      actions={<PipelineActions pipeline={pipeline} />}
    >
      <div className="ng-pipeline-state">
        <StateBadge state={state} />
        <VisuallyHidden aria-live="polite">{t("pipeline.announce", { state: t(`state.${state}`) })}</VisuallyHidden>
      </div>
      {error !== null &&
        (error.code === "run.interrupted" ? (
          <div className="ng-notice" data-tone="warn">
            {t("pipeline.interrupted")}
          </div>
        ) : (
          <ErrorPanel error={error} />
        ))}
      <div className="ng-pipeline">
        <Section title={t("pipeline.section_graph")}>
          <Graph
            stages={config.stages}
            base={modelLabel(config.model.model_name_or_path, models)}
            selected={selected?.id ?? ""}
            onSelect={(id) => setQuery({ stage: id }, { replace: true })}
            facts={facts}
          />
        </Section>
        {selected !== undefined && <StagePanel key={selected.id} pipeline={pipeline} stageId={selected.id} />}
      </div>
    </Page>
  );
}

function PipelineActions({ pipeline }: { readonly pipeline: PipelineRecord }) {
  const { t } = useTranslation();
  const { run, pause, stop } = usePipelines.getState();
  const running = useAction();
  const pausing = useAction();
  const [asking, { open, close }] = useDisclosure();
  const { pipeline_id: id, state, config } = pipeline;
  const begun = pipeline.stages.some((stage) => stage.run_id !== null);
  const error = running.error ?? pausing.error;
  return (
    <>
      {state !== "running" && state !== "finished" && (
        <Button
          leftSection={<IconPlayerPlay size={16} aria-hidden />}
          loading={running.busy}
          onClick={() => void running.run(() => run(id))}
        >
          {t(begun ? "pipeline.run_rest" : "pipeline.run_all")}
        </Button>
      )}
      {state === "running" && (
        <>
          <Button
            leftSection={<IconPlayerPause size={16} aria-hidden />}
            loading={pausing.busy}
            onClick={() => void pausing.run(() => pause(id))}
          >
            {t("pipeline.pause")}
          </Button>
          <Button variant="default" leftSection={<IconPlayerStop size={16} aria-hidden />} onClick={open}>
            {t("pipeline.stop")}
          </Button>
        </>
      )}
      <Button
        variant="default"
        component={Link}
        to={`/pipelines/new?from=${encodeURIComponent(id)}`}
        leftSection={<IconRepeat size={16} aria-hidden />}
      >
        {t("pipeline.rerun")}
      </Button>
      <Button
        variant="default"
        leftSection={<IconDownload size={16} aria-hidden />}
        onClick={() =>
          download(`${JSON.stringify(config, null, 2)}\n`, `${safeFileName(config.name)}.json`, "application/json")
        }
      >
        {t("reward.config_export")}
      </Button>
      {error !== null && <ErrorPanel error={error} />}
      <ConfirmModal
        opened={asking}
        onClose={close}
        title={t("pipeline.stop_title")}
        text={t("pipeline.stop_text")}
        confirm={t("run.stop_confirm")}
        action={() => stop(id)}
      />
    </>
  );
}
