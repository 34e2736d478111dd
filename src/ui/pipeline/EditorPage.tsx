/** A new pipeline: from a template, from an earlier pipeline or run with changes, or from a file. */
import { Button, Stack, Text } from "@mantine/core";
import { IconPlayerPlay, IconTrash } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate, useSearchParams } from "react-router";
import type { RunConfig } from "../../shared/protocol/config";
import { defaultStage, TEMPLATES } from "../../shared/protocol/defaults";
import { useEnvironment } from "../../stores/environment";
import { usePipelines } from "../../stores/pipelines";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page, Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { withSettings } from "../preflight/apply";
import { misfitHere } from "../preflight/check-here";
import { StagePreflight } from "../preflight/StagePreflight";
import { ConfigFile } from "../reward/ConfigFile";
import { PlaceForm } from "../workers/PlaceForm";
import { withChanges } from "./changes";
import { checkDraft, type Draft, type DraftObject, encode, encodeConfig, isList, valueAt, withValue } from "./draft";
import { DraftContext } from "./draft-context";
import { AddStage, DraftGraph, Overall } from "./EditorParts";
import { idOf, kindOf, slotStages } from "./fields";
import { StageForm } from "./StageForm";
import { usePlaces } from "./use-places";

const MAX_STAGES = 16;
const DEFAULT_TEMPLATE: RunConfig = TEMPLATES["positive-reviews"];

/** Another address is another draft: what was typed for the one before does not stay. */
export function EditorPage() {
  const [query] = useSearchParams();
  return <Editor key={query.toString()} query={query} />;
}

function Editor({ query }: { readonly query: URLSearchParams }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const runs = useRuns((state) => state.runs);
  const pipelines = usePipelines((state) => state.pipelines);
  const { create, run: runPipeline } = usePipelines.getState();
  const webgpu = useEnvironment((state) => state.webgpu);
  const [edited, setEdited] = useState<DraftObject | null>(null);
  const [selected, setSelected] = useState<string | null>(query.get("stage"));
  const [reuse, setReuse] = useState(true);
  const { busy, error, run: act } = useAction();

  // What the address asks for holds until the person changes something.
  const initial = useMemo(() => {
    const from = query.get("from");
    const source =
      runs.find((run) => run.run_id === from)?.config ??
      pipelines.find((pipeline) => pipeline.pipeline_id === from)?.config ??
      Object.entries(TEMPLATES).find(([name]) => name === query.get("template"))?.[1] ??
      DEFAULT_TEMPLATE;
    return withChanges(encodeConfig(source), query);
  }, [query, runs, pipelines]);
  const draft = edited ?? initial.draft;
  const checked = useMemo(() => checkDraft(draft), [draft]);
  const context = useMemo(
    () => ({
      draft,
      checked,
      changed: new Set(initial.changed),
      set: (path: string, value: Draft) => setEdited((before) => withValue(before ?? initial.draft, path, value)),
    }),
    [draft, checked, initial],
  );
  const earlier = pipelines.find((pipeline) => pipeline.pipeline_id === query.get("from"));
  const places = usePlaces(checked.config, earlier?.places);
  const stages = valueAt(draft, "stages");
  const list = isList(stages) ? stages : [];
  const index = Math.max(
    0,
    list.findIndex((stage) => idOf(stage) === selected),
  );
  const kind = kindOf(list[index]);
  const problems = checked.problems.size + checked.pipeline.length;
  const replaceStages = (next: readonly Draft[]) => setEdited(withValue(draft, "stages", next));

  const start = () =>
    act(async () => {
      if (checked.config === null) return;
      const misfit = (await misfitHere(checked.config, places.all)) ?? (await places.check(checked.config));
      if (misfit !== null) return setSelected(misfit);
      const created = await create(checked.config, { reuse, places: places.all });
      await runPipeline(created.pipeline_id);
      await navigate(`/pipelines/${created.pipeline_id}`);
    });

  return (
    <DraftContext value={context}>
      <Page
        title={t("pipeline.new_title")}
        lead={t("pipeline.new_lead")}
        actions={
          <Button
            size="md"
            leftSection={<IconPlayerPlay size={17} aria-hidden />}
            loading={busy}
            disabled={checked.config === null || (!places.elsewhere && webgpu !== "available" && webgpu !== "unknown")}
            onClick={() => void start()}
          >
            {t(places.misfits ? "workers.start_anyway" : "pipeline.run_all")}
          </Button>
        }
      >
        {error !== null && <ErrorPanel error={error} />}
        {problems > 0 && (
          <Text size="sm" c="var(--mantine-color-error)" role="status">
            {t("pipeline.correct_first", { count: problems })}
          </Text>
        )}
        {initial.changed.length > 0 && (
          <div className="ng-notice">
            {t("pipeline.changes_made", {
              changes: initial.changed.map((path) => `${path.split(".").at(-1)}: ${valueAt(draft, path)}`).join(", "),
            })}
          </div>
        )}
        <Overall reuse={reuse} onReuse={setReuse} />
        <div className="ng-pipeline">
          <Section
            title={t("pipeline.section_graph")}
            actions={
              <AddStage
                full={list.length >= MAX_STAGES}
                onAdd={(kind) => {
                  const added = defaultStage(kind, slotStages(list));
                  replaceStages([...list, encode(added)]);
                  setSelected(added.id);
                }}
              />
            }
          >
            <DraftGraph selected={idOf(list[index])} onSelect={setSelected} places={places.all} />
          </Section>
          <Section
            title={kind === null ? "" : `${t(`stages.${kind}`)} (${idOf(list[index])})`}
            actions={
              list.length > 1 && (
                <Button
                  variant="subtle"
                  color="gray"
                  size="compact-sm"
                  leftSection={<IconTrash size={15} aria-hidden />}
                  onClick={() => {
                    replaceStages(list.filter((_, place) => place !== index));
                    setSelected(null);
                  }}
                >
                  {t("pipeline.remove")}
                </Button>
              )
            }
          >
            <Stack gap="lg">
              {kind !== null && (
                <PlaceForm
                  key={`${idOf(list[index])} place`}
                  stage={idOf(list[index])}
                  kind={kind}
                  config={checked.config}
                  {...places.of(idOf(list[index]))}
                />
              )}
              {kind !== null && places.of(idOf(list[index])).place?.at !== "worker" && (
                <StagePreflight
                  key={`${idOf(list[index])} needs`}
                  config={checked.config}
                  stage={idOf(list[index])}
                  onApply={(changes) => {
                    const { config } = checked;
                    if (config !== null) setEdited(encodeConfig(withSettings(config, idOf(list[index]), changes)));
                  }}
                />
              )}
              <StageForm key={idOf(list[index])} index={index} />
            </Stack>
          </Section>
        </div>
        <ConfigFile config={checked.config} onImport={(config) => setEdited(encodeConfig(config))} />
      </Page>
    </DraftContext>
  );
}
