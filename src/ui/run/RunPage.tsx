/** One run: what it is doing, its curves, its result, its mistakes, a field to try it, its record. */
import { Anchor, Button, Loader, Tabs, Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams, useSearchParams } from "react-router";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page } from "../common/Page";
import { CurvesTab } from "./CurvesTab";
import { RecordTab } from "./RecordTab";
import { ResultTab } from "./ResultTab";
import { RunActions } from "./RunActions";
import { RunStatus } from "./RunStatus";
import { SamplesTab } from "./SamplesTab";
import { TryTab } from "./TryTab";
import "./run.css";

const TABS = ["curves", "result", "samples", "try", "record"] as const;
type Tab = (typeof TABS)[number];

export function RunPage() {
  const { runId = "" } = useParams();
  const { t } = useTranslation();
  const loaded = useRuns((state) => state.loaded);
  const loadError = useRuns((state) => state.loadError);
  const name = useRuns((state) => state.runs.find((run) => run.run_id === runId)?.config.name);
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
  if (name === undefined)
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
      title={name}
      back={
        <Anchor component={Link} to="/runs" size="sm">
          ← {t("nav.runs")}
        </Anchor>
      }
      actions={<RunActions runId={runId} />}
    >
      <RunStatus runId={runId} />
      <RunTabs runId={runId} />
    </Page>
  );
}

function RunTabs({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const [query, setQuery] = useSearchParams();
  const finished = useRuns((state) => (state.details[runId]?.result ?? null) !== null);
  const tab: Tab = TABS.find((candidate) => candidate === query.get("tab")) ?? "curves";
  return (
    <Tabs
      value={tab}
      onChange={(value) => setQuery(value === null || value === "curves" ? {} : { tab: value }, { replace: true })}
      keepMounted={false}
    >
      <Tabs.List mb="md" className="ng-tabs">
        {TABS.map((name) => (
          <Tabs.Tab key={name} value={name}>
            {t(`run.tab_${name}`)}
            {name === "result" && finished && <span className="ng-tab-dot" aria-hidden />}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      <Tabs.Panel value="curves">
        <CurvesTab runId={runId} />
      </Tabs.Panel>
      <Tabs.Panel value="result">
        <ResultTab runId={runId} />
      </Tabs.Panel>
      <Tabs.Panel value="samples">
        <SamplesTab runId={runId} />
      </Tabs.Panel>
      <Tabs.Panel value="try">
        <TryTab runId={runId} />
      </Tabs.Panel>
      <Tabs.Panel value="record">
        <RecordTab runId={runId} />
      </Tabs.Panel>
    </Tabs>
  );
}
