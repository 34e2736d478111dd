/** Whether the stages of a pipeline fit together: what a schema cannot say. */
import { type ArtefactKind, sha256 } from "./artefact";
import { BASE_SLOT, type RunConfig, type StageConfig } from "./config";
import { artefactOf, outputOf, type Slot, slotsOf } from "./pipeline-slots";

export const PIPELINE_PROBLEMS = [
  /** {id}: two stages have it. */
  "duplicate_id",
  /** {id}: "base" means the run's model. */
  "reserved_id",
  /** {value, known}: names neither "base" nor a stage of the pipeline nor an artefact. */
  "unknown_slot",
  /** {value}: names this stage or a later one. */
  "later_stage",
  /** {value, kind, accepts}: what it names is of a kind that cannot stand there. */
  "wrong_kind",
  /** {value}: an adapter where only a whole model can stand; merge it first. */
  "needs_merge",
  /** {part, of}: parts count from 0. */
  "bad_part",
  /** {template}: does not hold "{sentence}" exactly once. */
  "bad_template",
  /** {objective}: only pairwise learns from a file of pairs. */
  "unused_pairs",
] as const;
export type PipelineProblemCode = (typeof PIPELINE_PROBLEMS)[number];

export interface PipelineProblem {
  /** In the notation of `--set`: "stages.2.model". */
  readonly path: string;
  /** Index of the stage. */
  readonly stage: number;
  readonly code: PipelineProblemCode;
  readonly values: Readonly<Record<string, string>>;
  /** English, complete on its own. */
  readonly message: string;
}

/**
 * The problems of a pipeline in the order of its stages; none where it can run.
 * @param kindOf what is known of an artefact; undefined where nothing is (it then counts as fitting)
 */
export function checkPipeline(
  config: Pick<RunConfig, "stages">,
  kindOf: (artefact: string) => ArtefactKind | undefined = () => undefined,
): PipelineProblem[] {
  const problems: PipelineProblem[] = [];
  const { stages } = config;
  for (const [index, stage] of stages.entries()) {
    const at = (field: string, code: PipelineProblemCode, values: PipelineProblem["values"], message: string) =>
      void problems.push({ path: `stages.${index}.${field}`, stage: index, code, values, message });
    const { id } = stage;
    if (id === BASE_SLOT) at("id", "reserved_id", { id }, `"${id}" names the run's model; give the stage another id`);
    if (stages.findIndex((other) => other.id === id) < index)
      at("id", "duplicate_id", { id }, `an earlier stage is called "${id}" already`);
    const rows = "rows" in stage ? stage.rows : null;
    if (rows !== null && rows.part >= rows.of) {
      const values = { part: String(rows.part), of: String(rows.of) };
      at("rows.part", "bad_part", values, `there is no part ${rows.part} of ${rows.of}: parts count from 0`);
    }
    if (stage.stage === "sft" && stage.template.split("{sentence}").length !== 2)
      at(
        "template",
        "bad_template",
        { template: stage.template },
        `${JSON.stringify(stage.template)} must hold {sentence} once`,
      );
    if (stage.stage === "reward" && stage.pairs !== null && stage.objective !== "pairwise") {
      const { objective } = stage;
      at(
        "pairs",
        "unused_pairs",
        { objective },
        `${objective} learns from labels: set objective "pairwise", or pairs null`,
      );
    }
    for (const slot of slotsOf(stage)) {
      const found = problemOf(slot, index, stages, kindOf);
      if (found) at(slot.slot, found.code, found.values, found.message);
    }
  }
  return problems;
}

type Found = Pick<PipelineProblem, "code" | "values" | "message">;

function problemOf(
  { value, accepts }: Slot,
  index: number,
  stages: readonly StageConfig[],
  kindOf: (artefact: string) => ArtefactKind | undefined,
): Found | null {
  const kind = kindOfSlot(value, index, stages, kindOf);
  if (typeof kind !== "string") return kind;
  if (kind === "fits" || accepts.includes(kind)) return null;
  if (kind === "adapter" && accepts.includes("model"))
    return { code: "needs_merge", values: { value }, message: `"${value}" is an adapter: merge it first` };
  return {
    code: "wrong_kind",
    values: { value, kind, accepts: accepts.join(", ") },
    message: `"${value}" gives a ${kind}, here belongs: ${accepts.join(" or ")}`,
  };
}

function kindOfSlot(
  value: string,
  index: number,
  stages: readonly StageConfig[],
  kindOf: (artefact: string) => ArtefactKind | undefined,
): ArtefactKind | "fits" | Found {
  if (value === BASE_SLOT) return "model";
  const artefact = artefactOf(value);
  const known = [BASE_SLOT, ...stages.slice(0, index).map((stage) => stage.id)].join(", ");
  if (artefact !== null && sha256.safeParse(artefact).success) return kindOf(artefact) ?? "fits";
  const found = stages.findIndex((stage) => stage.id === value);
  const stage = stages[found];
  if (stage === undefined)
    return {
      code: "unknown_slot",
      values: { value, known },
      message: `there is no stage "${value}"; earlier ones: ${known}`,
    };
  if (found >= index)
    return {
      code: "later_stage",
      values: { value },
      message: `the stage "${value}" does not come before this one; earlier ones: ${known}`,
    };
  return outputOf(stage);
}
