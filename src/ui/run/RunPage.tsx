/** One run: what it is doing, its curves or texts, its result, its record. Which tabs there are depends on its stage. */
import { Anchor, Button, Loader, Tabs, Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams, useSearchParams } from "react-router";
import type { StageConfig } from "../../shared/protocol/config";
import { stageOf } from "../../shared/protocol/run";
import { usePipelines } from "../../stores/pipelines";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page } from "../common/Page";
import { RemoteNotice } from "../workers/RemoteNotice";
import { CompareTab } from "./CompareTab";
import { CurvesTab } from "./CurvesTab";
import { RecordTab } from "./RecordTab";
import { ResultTab } from "./ResultTab";
import { RunActions } from "./RunActions";
import { RunStatus } from "./RunStatus";
import { SamplesTab } from "./SamplesTab";
import { StageResult } from "./StageResult";
import { TextsTab } from "./TextsTab";
import { TryTab } from "./TryTab";
import { useRecord } from "./use-run";
import "./run.css";

const VIEWS = {
  curves: CurvesTab,
  texts: TextsTab,
  result: ResultTab,
  figures: StageResult,
  compare: CompareTab,
  samples: SamplesTab,
  try: TryTab,
  record: RecordTab,
} as const;
type Tab = keyof typeof VIEWS;

const TABS: Readonly<Record<StageConfig["stage"], readonly [Tab, ...Tab[]]>> = {
  sft: ["curves", "texts", "figures", "record"],
  reward: ["curves", "result", "samples", "try", "record"],
  merge: ["figures", "record"],
  ppo: ["curves", "texts", "figures", "record"],
  dpo: ["curves", "texts", "figures", "record"],
  evaluate: ["compare", "figures", "record"],
};
/** Tabs with something new to see once the run is finished. */
const FINAL: ReadonlySet<Tab> = new Set<Tab>(["result", "figures", "compare"]);

export function RunPage() {
  const { runId = "" } = useParams();
  const { t } = useTranslation();
  const loaded = useRuns((state) => state.loaded);
  const loadError = useRuns((state) => state.loadError);
  const name = useRecord(runId, (record) => record.config.name);
  const stage = useRecord(runId, stageOf);
  const record = useRecord(runId, (one) => one);
  const pipelineId = useRecord(runId, (record) => record.pipeline_id) ?? null;
  const pipeline = usePipelines((state) => state.pipelines.find((one) => one.pipeline_id === pipelineId));
  const open = useRuns((state) => state.open);
  const exists = name !== undefined;
  useEffect(() => {
    // A failed subscription shows as an empty curve with the record's state; the list says what is wrong with storage.
    if (exists) open(runId).catch(() => undefined);
  }, [exists, runId, open]);

  if (!loaded)
    return (
      <Page title={t("app.loading")}>
        <Loader size="sm" aria-label={t("app.loading")} />
      </Page>
    );
  if (name === undefined || stage === undefined)
    return (
      <Page title={t("run.not_found_title")}>
        {loadError === null ? <Text>{t("run.not_found")}</Text> : <ErrorPanel error={loadError} />}
        <div>
          <Button component={Link} to="/runs">
            {t("run.to_list")}
          </Button>
        </div>
      </Page>
    );
  return (
    <Page
      title={pipeline === undefined ? name : `${name} / ${t(`stages.${stage.stage}`)}`}
      back={
        pipeline === undefined ? (
          <Anchor component={Link} to="/runs" size="sm">
            ← {t("nav.runs")}
          </Anchor>
        ) : (
          <Anchor component={Link} to={`/pipelines/${pipeline.pipeline_id}?stage=${stage.id}`} size="sm">
            ← {pipeline.name}
          </Anchor>
        )
      }
      actions={<RunActions runId={runId} />}
    >
      {record !== undefined && <RemoteNotice run={record} />}
      <RunStatus runId={runId} />
      <RunTabs runId={runId} stage={stage} />
    </Page>
  );
}

function RunTabs({ runId, stage }: { readonly runId: string; readonly stage: StageConfig }) {
  const { t } = useTranslation();
  const [query, setQuery] = useSearchParams();
  const finished = useRuns((state) => (state.details[runId]?.result ?? null) !== null);
  const tabs = TABS[stage.stage];
  const [first] = tabs;
  const tab = tabs.find((candidate) => candidate === query.get("tab")) ?? first;
  return (
    <Tabs
      value={tab}
      onChange={(value) => setQuery(value === null || value === first ? {} : { tab: value }, { replace: true })}
      keepMounted={false}
    >
      <Tabs.List mb="md" className="ng-tabs">
        {tabs.map((name) => (
          <Tabs.Tab key={name} value={name}>
            {t(`run.tab_${name}`)}
            {FINAL.has(name) && finished && <span className="ng-tab-dot" aria-hidden />}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {tabs.map((name) => {
        const View = VIEWS[name];
        return (
          <Tabs.Panel key={name} value={name}>
            <View runId={runId} />
          </Tabs.Panel>
        );
      })}
    </Tabs>
  );
}
