/** Settings that name something else: the work of an earlier stage, rows, pairs. */
import { MultiSelect, Select } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { ArtefactKind, ArtefactRecord } from "../../shared/protocol/artefact";
import { BASE_SLOT } from "../../shared/protocol/config";
import { useArtefacts } from "../../stores/artefacts";
import { useDatasets } from "../../stores/datasets";
import { isList, isObject, valueAt } from "./draft";
import { useDraft } from "./draft-context";
import { type FieldProps, useFieldProps } from "./field-props";
import { usePipelineProblemText } from "./field-text";
import { draftOutput, idOf } from "./fields";

const ACCEPTS: Readonly<Record<string, readonly ArtefactKind[]>> = {
  model: ["model", "adapter"],
  models: ["model", "adapter"],
  adapter: ["adapter"],
  reward_model: ["reward_model"],
  reward_models: ["reward_model"],
};

interface Option {
  readonly value: string;
  readonly label: string;
}

/** What may stand in a slot: the base, earlier stages and what was made before. */
function useSlotOptions(path: string, field: string, current: readonly string[]): Option[] {
  const { t } = useTranslation();
  const { draft } = useDraft();
  const artefacts = useArtefacts((state) => state.artefacts);
  const accepts = ACCEPTS[field] ?? [];
  const index = Number(path.split(".")[1]);
  const stages = valueAt(draft, "stages");
  const earlier = isList(stages) ? stages.slice(0, index) : [];
  const options: Option[] = accepts.includes("model") ? [{ value: BASE_SLOT, label: t("pipeline.base") }] : [];
  for (const stage of earlier) {
    const output = draftOutput(stage);
    if (output !== null && accepts.includes(output))
      options.push({ value: idOf(stage), label: `${idOf(stage)} (${t(`artefact_kinds.${output}`)})` });
  }
  for (const artefact of artefacts)
    if (accepts.includes(artefact.kind))
      options.push({ value: `artefact:${artefact.id}`, label: artefactLabel(artefact) });
  for (const value of current)
    if (!options.some((option) => option.value === value)) options.push({ value, label: value });
  return options;
}

const artefactLabel = ({ name, id }: ArtefactRecord): string => `${name} · ${id.slice(0, 8)}`;

/** The problem that `checkPipeline` found at a path, or below it. */
function usePipelineProblem(path: string): string | null {
  const { checked } = useDraft();
  const text = usePipelineProblemText();
  const problem = checked.pipeline.find((one) => one.path === path || one.path.startsWith(`${path}.`));
  return problem === undefined ? null : text(problem);
}

export function SlotField(props: FieldProps) {
  const { draft, set } = useDraft();
  const shared = useFieldProps(props);
  const problem = usePipelineProblem(props.path);
  const value = String(valueAt(draft, props.path) ?? "");
  const options = useSlotOptions(props.path, props.field, [value]);
  return (
    <Select
      {...shared}
      error={shared.error ?? problem}
      data={options}
      value={value}
      allowDeselect={false}
      onChange={(chosen) => chosen !== null && set(props.path, chosen)}
    />
  );
}

export function SlotsField(props: FieldProps) {
  const { draft, set } = useDraft();
  const shared = useFieldProps(props);
  const problem = usePipelineProblem(props.path);
  const value = valueAt(draft, props.path);
  const chosen = isList(value) ? value.map(String) : [];
  const options = useSlotOptions(props.path, props.field, chosen);
  return (
    <MultiSelect
      {...shared}
      className="ng-wide"
      error={shared.error ?? problem}
      data={options}
      value={chosen}
      onChange={(values) => set(props.path, values)}
    />
  );
}

const OWN = "";

/** Rows of its own for a stage, or those of the whole pipeline. */
export function DataField(props: FieldProps) {
  const { t } = useTranslation();
  const { draft, set } = useDraft();
  const datasets = useDatasets((state) => state.entries);
  const value = valueAt(draft, props.path);
  const train = isObject(value) ? String(value.train) : OWN;
  const known = datasets.some((entry) => entry.data.train === train);
  const options = datasets.map((entry) => ({ value: entry.data.train, label: entry.name }));
  return (
    <Select
      {...useFieldProps(props)}
      data={[
        { value: OWN, label: t("pipeline.same_data") },
        ...options,
        ...(known || train === OWN ? [] : [{ value: train, label: train }]),
      ]}
      value={train}
      allowDeselect={false}
      onChange={(chosen) => {
        const entry = datasets.find((candidate) => candidate.data.train === chosen);
        if (chosen === OWN) set(props.path, null);
        else if (entry !== undefined) set(props.path, { ...entry.data });
      }}
    />
  );
}

/** Pairs from votes that were collected, or drawn from the labels. */
export function PairsField(props: FieldProps) {
  const { t } = useTranslation();
  const { draft, set } = useDraft();
  const artefacts = useArtefacts((state) => state.artefacts);
  const value = valueAt(draft, props.path);
  const reference = typeof value === "string" ? value : OWN;
  const options = artefacts
    .filter(({ kind }) => kind === "preferences")
    .map((artefact) => ({ value: `artefact:${artefact.id}`, label: artefactLabel(artefact) }));
  const known = options.some((option) => option.value === reference);
  return (
    <Select
      {...useFieldProps(props)}
      data={[
        { value: OWN, label: t("pipeline.pairs_from_labels") },
        ...options,
        ...(known || reference === OWN ? [] : [{ value: reference, label: reference }]),
      ]}
      value={reference}
      allowDeselect={false}
      onChange={(chosen) => set(props.path, chosen === null || chosen === OWN ? null : chosen)}
    />
  );
}
