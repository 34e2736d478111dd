/** What a stage takes in, by slot: the same for the browser and the command line, and what lineage is made of. */
import { NagiError } from "../errors";
import type { ArtefactParent } from "./artefact";
import { BASE_SLOT, dataOf, pairsOf, type RunConfig, type StageConfig } from "./config";
import { artefactOf, slotsOf } from "./pipeline-slots";

/** Slot ("model", "reward_model", "models.1", ...) to an artefact's id or a reference such as `bundled:nagi-base`. */
export type StageInputs = Readonly<Record<string, string>>;

/**
 * What the slots of a stage stand for.
 * @param made the artefact that a stage of this pipeline has made; undefined where it has made none
 * @throws config.invalid {file, path, problem, allowed} where a slot names something that is not there
 */
export function inputsOf(
  config: RunConfig,
  stage: StageConfig,
  made: (stageId: string) => string | undefined,
): StageInputs {
  const inputs: Record<string, string> = {};
  for (const { slot, value } of slotsOf(stage)) {
    const id = value === BASE_SLOT ? config.model.model_name_or_path : (artefactOf(value) ?? made(value));
    if (id === undefined) {
      const problem = `the stage "${value}" has not made anything yet`;
      const allowed = "base, an earlier stage that has run, artefact:SHA256";
      const path = `stages.${config.stages.indexOf(stage)}.${slot}`;
      throw new NagiError("config.invalid", `${config.name}: ${path}: ${problem}. Run that stage first.`, {
        file: config.name,
        path,
        problem,
        allowed,
      });
    }
    inputs[slot] = id;
  }
  return inputs;
}

/** The parents that the stage's artefact records: its inputs, its data, and that the base was drawn where it was. */
export function parentsOf(config: RunConfig, stage: StageConfig, inputs: StageInputs): ArtefactParent[] {
  const parents: ArtefactParent[] = Object.entries(inputs).map(([slot, id]) => ({ slot, id }));
  if (stage.stage !== "merge") {
    const { train, validation, test } = dataOf(config, stage);
    parents.push({ slot: "data.train", id: train }, { slot: "data.validation", id: validation });
    if (test !== null) parents.push({ slot: "data.test", id: test });
  }
  const pairs = pairsOf(stage);
  if (pairs !== null) parents.push({ slot: "pairs", id: artefactOf(pairs) ?? pairs });
  const fromBase = slotsOf(stage).some(({ value }) => value === BASE_SLOT);
  if (fromBase && config.model.init === "random") parents.push({ slot: "init", id: "random" });
  return parents;
}

/** Everything outside the pipeline that a configuration names: models, rows, pairs. References, none twice. */
export function referencesOf(config: RunConfig): string[] {
  const named = [config.model.model_name_or_path];
  for (const stage of config.stages) {
    const { train, validation, test } = dataOf(config, stage);
    named.push(train, validation, ...(test === null ? [] : [test]));
    const pairs = pairsOf(stage);
    if (pairs !== null) named.push(pairs);
    for (const { value } of slotsOf(stage)) if (artefactOf(value) !== null) named.push(value);
  }
  return [...new Set(named)];
}

/**
 * What decides a stage's result, as a text: two stages with the same text make the same, whatever their names and
 * pipelines are called.
 */
export function stageKey(config: RunConfig, stage: StageConfig, inputs: StageInputs): string {
  const settings: Record<string, unknown> = { ...stage };
  // What these name is said by the parents.
  for (const named of ["id", "model", "models", "adapter", "reward_model", "reward_models", "data", "pairs"])
    delete settings[named];
  const parents = parentsOf(config, stage, inputs);
  const sorted = Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1));
  // An evaluation writes the names of its models into its lines.
  const names = stage.stage === "evaluate" ? [stage.models, stage.reward_models] : [];
  return JSON.stringify([sorted, parents, config.seed, names]);
}

/** The stage and all later ones that build on it, by id. */
export function dependants(config: Pick<RunConfig, "stages">, stageId: string): string[] {
  const found = new Set([stageId]);
  for (const stage of config.stages) if (slotsOf(stage).some(({ value }) => found.has(value))) found.add(stage.id);
  return config.stages.filter(({ id }) => found.has(id)).map(({ id }) => id);
}
