/** The editor's parts beside the stages' own settings. */
import { Button, Menu, Select, SimpleGrid, Stack, Switch, TextInput } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { type StagePlaces, workerOf } from "../../shared/protocol/launch";
import { useDatasets } from "../../stores/datasets";
import { useModels } from "../../stores/models";
import { useWorkers, workerName } from "../../stores/workers";
import { Section } from "../common/Page";
import { modelLabel } from "../data/references";
import { isList, valueAt } from "./draft";
import { useDraft } from "./draft-context";
import { useFieldProps } from "./field-props";
import { STAGE_KINDS, type StageKind, slotStages } from "./fields";
import { Graph, type NodeFacts } from "./Graph";
import { CONFIG_NODE } from "./schema";

/** What a worker loads by itself, of CyberAgent's OpenCALM. */
const HUB_MODELS = ["small", "medium", "large", "1b", "3b", "7b"].map((size) => `hub:cyberagent/open-calm-${size}`);

export interface OverallProps {
  readonly reuse: boolean;
  readonly onReuse: (reuse: boolean) => void;
}

/** What holds for all stages: name, seed, base model, data. */
export function Overall({ reuse, onReuse }: OverallProps) {
  const { t } = useTranslation();
  const { draft, set } = useDraft();
  const models = useModels((state) => state.entries);
  const datasets = useDatasets((state) => state.entries);
  const workers = useWorkers((state) => state.workers);
  const model = String(valueAt(draft, "model.model_name_or_path") ?? "");
  const train = String(valueAt(draft, "data.train") ?? "");
  const dataset = datasets.find((entry) => entry.data.train === train);
  const node = (name: string) => CONFIG_NODE.properties?.[name] ?? {};
  const name = useFieldProps({ path: "name", field: "name", node: node("name") });
  const seed = useFieldProps({ path: "seed", field: "seed", node: node("seed") });
  return (
    <Section title={t("pipeline.section_all")}>
      <Stack gap="md">
        <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }} spacing="md">
          <TextInput
            {...name}
            value={String(valueAt(draft, "name") ?? "")}
            onChange={(event) => set("name", event.currentTarget.value)}
          />
          <Select
            label={t("reward.model_label")}
            data={[
              ...models.map((entry) => ({ value: entry.reference, label: entry.name })),
              ...(workers.length > 0 ? HUB_MODELS.map((value) => ({ value, label: modelLabel(value, models) })) : []),
              ...([...models.map((entry) => entry.reference), ...(workers.length > 0 ? HUB_MODELS : [])].includes(model)
                ? []
                : [{ value: model, label: modelLabel(model, models) }]),
            ]}
            value={model}
            allowDeselect={false}
            onChange={(value) => value !== null && set("model.model_name_or_path", value)}
          />
          <Select
            label={t("reward.dataset_label")}
            data={[
              ...datasets.map((entry) => ({ value: entry.data.train, label: entry.name })),
              ...(dataset === undefined ? [{ value: train, label: train }] : []),
            ]}
            value={train}
            allowDeselect={false}
            onChange={(value) => {
              const chosen = datasets.find((entry) => entry.data.train === value);
              if (chosen !== undefined) set("data", { ...chosen.data });
            }}
          />
          <TextInput
            {...seed}
            inputMode="numeric"
            classNames={{ input: "ng-numeric" }}
            value={String(valueAt(draft, "seed") ?? "")}
            onChange={(event) => set("seed", event.currentTarget.value)}
          />
        </SimpleGrid>
        <Switch
          size="sm"
          label={t("pipeline.reuse")}
          checked={reuse}
          onChange={(event) => onReuse(event.currentTarget.checked)}
        />
      </Stack>
    </Section>
  );
}

export interface DraftGraphProps {
  readonly selected: string;
  readonly onSelect: (id: string) => void;
  readonly places: StagePlaces;
}

/** The graph of what is being typed: each stage says how much of it is still wrong. */
export function DraftGraph({ selected, onSelect, places }: DraftGraphProps) {
  const { t } = useTranslation();
  const { draft, checked } = useDraft();
  const models = useModels((state) => state.entries);
  const workers = useWorkers((state) => state.workers);
  const value = valueAt(draft, "stages");
  const stages = slotStages(isList(value) ? value : []);
  const facts = (index: number): NodeFacts => {
    const prefix = `stages.${index}.`;
    const wrong =
      [...checked.problems.keys()].filter((path) => path.startsWith(prefix)).length +
      checked.pipeline.filter((problem) => problem.stage === index).length;
    const worker = workerOf(places[stages[index]?.id ?? ""]);
    const text = wrong > 0 ? t("pipeline.to_correct", { count: wrong }) : t("pipeline.ready");
    return {
      state: (
        <span className="ng-state" style={{ color: `var(${wrong > 0 ? "--ng-bad" : "--ng-text-quiet"})` }}>
          <span className="ng-dot" />
          {text}
        </span>
      ),
      stateText: text,
      progress: null,
      // Nothing has been measured yet; where it runs is what differs.
      figure: worker === null ? "" : workerName(workers, worker),
      alarms: 0,
    };
  };
  return (
    <Graph
      stages={stages}
      base={modelLabel(String(valueAt(draft, "model.model_name_or_path") ?? ""), models)}
      selected={selected}
      onSelect={onSelect}
      facts={(stage) => facts(stages.indexOf(stage))}
    />
  );
}

export interface AddStageProps {
  readonly full: boolean;
  readonly onAdd: (kind: StageKind) => void;
}

export function AddStage({ full, onAdd }: AddStageProps) {
  const { t } = useTranslation();
  return (
    <Menu position="bottom-end" withinPortal={false}>
      <Menu.Target>
        <Button variant="light" size="compact-sm" disabled={full} leftSection={<IconPlus size={15} aria-hidden />}>
          {t("pipeline.add")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {STAGE_KINDS.map((kind) => (
          <Menu.Item key={kind} onClick={() => onAdd(kind)}>
            {t(`stages.${kind}`)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
