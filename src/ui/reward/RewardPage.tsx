/** A new reward run: model, data, settings, where it runs, start. */
import { Button, SegmentedControl, Select, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { useId, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate, useSearchParams } from "react-router";
import { useDatasets } from "../../stores/datasets";
import { useEnvironment } from "../../stores/environment";
import { useModels } from "../../stores/models";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page, Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { DatasetView } from "../data/DatasetView";
import { ImportDataset } from "../data/ImportDataset";
import { datasetOf, SPLITS, type Split } from "../data/references";
import { ImportModel } from "../models/ImportModel";
import { ModelView } from "../models/ModelView";
import { withSettings } from "../preflight/apply";
import { usePreflight } from "../preflight/use-preflight";
import { ConfigFile } from "./ConfigFile";
import { checkDraft, configToDraft, DEFAULT_DRAFT, type Draft } from "./form";
import { HyperParameters } from "./HyperParameters";
import { useProblemText } from "./problem-text";
import { StartCard } from "./StartCard";
import "./reward.css";

const CUSTOM = "custom";

export function RewardPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [query] = useSearchParams();
  const datasets = useDatasets((state) => state.entries);
  const models = useModels((state) => state.entries);
  const runs = useRuns((state) => state.runs);
  const start = useRuns((state) => state.start);
  const available = useEnvironment((state) => state.webgpu);
  const [edited, setEdited] = useState<Draft | null>(null);
  const { busy, error, run } = useAction();
  const formId = useId();

  // What the address asks for (a run to repeat, a data set or a model to use) holds until the person changes something.
  const initial = useMemo(() => {
    const repeated = runs.find((candidate) => candidate.run_id === query.get("from"));
    if (repeated !== undefined) return configToDraft(repeated.config);
    const data = datasets.find((entry) => entry.id === query.get("data"))?.data;
    const model = models.find((entry) => entry.id === query.get("model"))?.reference;
    return {
      ...DEFAULT_DRAFT,
      ...(data === undefined ? {} : { ...data, test: data.test ?? "" }),
      ...(model === undefined ? {} : { model }),
    };
  }, [query, runs, datasets, models]);
  const draft = edited ?? initial;
  const change = (part: Partial<Draft>) => setEdited({ ...draft, ...part });
  const checked = useMemo(() => checkDraft(draft), [draft]);
  const stageId = draft.kept.id;
  const preflight = usePreflight(available === "available" ? checked.config : null, stageId);
  // What was asked about an earlier state of the form stands in nobody's way.
  const misfit = !preflight.busy && preflight.result?.fits === false;
  const problemText = useProblemText();
  const problem = (field: "name" | "seed" | "model" | "train") => {
    const found = checked.problems.get(field);
    return found === undefined ? null : problemText(field, found);
  };

  const submit = () =>
    run(async () => {
      if (checked.config === null) return;
      const record = await start(checked.config);
      await navigate(`/runs/${record.run_id}`);
    });

  return (
    <Page title={t("reward.title")} lead={t("reward.lead")}>
      <form
        id={formId}
        className="ng-reward"
        aria-label={t("reward.form")}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Stack gap="lg" className="ng-reward-main">
          <ModelSection draft={draft} change={change} problem={problem("model")} />
          <DataSection draft={draft} change={change} problem={problem("train")} />
          <Section title={t("reward.section_hyper")}>
            <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md" mb="md">
              <TextInput
                label={t("reward.name_label")}
                description={t("reward.name_help")}
                value={draft.name}
                error={problem("name")}
                onChange={(event) => change({ name: event.currentTarget.value })}
              />
              <TextInput
                label={t("reward.seed_label")}
                description={t("reward.seed_help")}
                inputMode="numeric"
                value={draft.seed}
                error={problem("seed")}
                onChange={(event) => change({ seed: event.currentTarget.value })}
              />
            </SimpleGrid>
            <HyperParameters draft={draft} change={change} problems={checked.problems} />
          </Section>
          <ConfigFile config={checked.config} onImport={(config) => setEdited(configToDraft(config))} />
        </Stack>
        <aside className="ng-reward-side">
          <StartCard
            draft={draft}
            checked={checked}
            preflight={preflight}
            onApply={(changes) => {
              const { config } = checked;
              if (config !== null) setEdited(configToDraft(withSettings(config, stageId, changes)));
            }}
          >
            {error !== null && <ErrorPanel error={error} />}
            <Button
              type="submit"
              size="md"
              fullWidth
              loading={busy}
              disabled={checked.config === null || misfit || (available !== "available" && available !== "unknown")}
            >
              {t("common.start")}
            </Button>
          </StartCard>
        </aside>
      </form>
    </Page>
  );
}

interface PartProps {
  readonly draft: Draft;
  readonly change: (part: Partial<Draft>) => void;
  readonly problem: string | null;
}

function ModelSection({ draft, change, problem }: PartProps) {
  const { t } = useTranslation();
  const models = useModels((state) => state.entries);
  const loadError = useModels((state) => state.loadError);
  const known = models.some((entry) => entry.reference === draft.model);
  const options = models.map((entry) => ({
    value: entry.reference,
    label: `${entry.name} (${t(`data.${entry.source}`)})`,
  }));
  return (
    <Section
      title={t("reward.section_model")}
      help={t("reward.model_help")}
      actions={<ImportModel onImported={(entry) => change({ model: entry.reference })} />}
    >
      <Stack gap="md">
        {loadError !== null && <ErrorPanel error={loadError} />}
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
          <Select
            label={t("reward.model_label")}
            data={known ? options : [...options, { value: draft.model, label: draft.model }]}
            value={draft.model}
            error={problem}
            allowDeselect={false}
            onChange={(value) => value !== null && change({ model: value })}
          />
          <div>
            <Text size="sm" fw={500} id="init-label">
              {t("reward.init_label")}
            </Text>
            <SegmentedControl
              fullWidth
              aria-labelledby="init-label"
              value={draft.init}
              onChange={(value) => change({ init: value === "random" ? "random" : "pretrained" })}
              data={[
                { value: "pretrained", label: t("reward.init_pretrained") },
                { value: "random", label: t("reward.init_random") },
              ]}
            />
            <Text size="xs" c="dimmed" mt={4}>
              {t("reward.init_help")}
            </Text>
          </div>
        </SimpleGrid>
        <ModelView reference={draft.model} />
      </Stack>
    </Section>
  );
}

function DataSection({ draft, change, problem }: PartProps) {
  const { t } = useTranslation();
  const datasets = useDatasets((state) => state.entries);
  const loadError = useDatasets((state) => state.loadError);
  const [split, setSplit] = useState<Split>("train");
  const entry = datasetOf(draft.train, datasets)?.entry;
  const whole =
    entry !== undefined && entry.data.validation === draft.validation && (entry.data.test ?? "") === draft.test
      ? entry
      : undefined;
  const options = datasets.map((candidate) => ({
    value: candidate.id,
    label: `${candidate.name} (${t(`data.${candidate.source}`)})`,
  }));
  const splits = SPLITS.filter((name) => draft[name] !== "");
  const shown = splits.includes(split) ? split : "train";
  const maxLength = Number(draft.numbers.max_length);
  return (
    <Section
      title={t("reward.section_data")}
      help={t("reward.data_import_help")}
      actions={
        <ImportDataset onImported={(imported) => change({ ...imported.data, test: imported.data.test ?? "" })} />
      }
    >
      <Stack gap="md">
        {loadError !== null && <ErrorPanel error={loadError} />}
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
          <Select
            label={t("reward.dataset_label")}
            data={
              whole === undefined
                ? [...options, { value: CUSTOM, label: `${draft.train} / ${draft.validation}` }]
                : options
            }
            value={whole?.id ?? CUSTOM}
            error={problem}
            allowDeselect={false}
            onChange={(value) => {
              const data = datasets.find((candidate) => candidate.id === value)?.data;
              if (data !== undefined) change({ ...data, test: data.test ?? "" });
            }}
          />
          <div>
            <Text size="sm" fw={500} id="split-label">
              {t("reward.split_label")}
            </Text>
            <SegmentedControl
              fullWidth
              aria-labelledby="split-label"
              value={shown}
              onChange={(value) => setSplit(SPLITS.find((name) => name === value) ?? "train")}
              data={splits.map((name) => ({ value: name, label: t(`dataset.split_${name}`) }))}
            />
          </div>
        </SimpleGrid>
        {draft.train === draft.validation && (
          <div className="ng-notice" data-tone="warn">
            {t("reward.same_split")}
          </div>
        )}
        <DatasetView
          key={draft[shown]}
          reference={draft[shown]}
          {...(Number.isInteger(maxLength) && maxLength > 0 ? { maxLength } : {})}
        />
      </Stack>
    </Section>
  );
}
