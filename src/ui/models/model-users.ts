/** What a model is used by: what would miss it. Pure. */
import type { ArtefactRecord } from "../../shared/protocol/artefact";
import type { PipelineRecord } from "../../shared/protocol/pipeline";
import { referencesOf } from "../../shared/protocol/pipeline-inputs";
import type { RunRecord } from "../../shared/protocol/run";

export interface ModelUsers {
  readonly runs: readonly Pick<RunRecord, "config">[];
  readonly pipelines: readonly Pick<PipelineRecord, "config">[];
  readonly artefacts: readonly Pick<ArtefactRecord, "name" | "parents">[];
}

/** Names of the runs, pipelines and results that build on the model, each once. @param reference `imported:ID` */
export function usersOfModel(reference: string, { runs, pipelines, artefacts }: ModelUsers): string[] {
  const configs = [...pipelines, ...runs].map(({ config }) => config);
  const named = configs.filter((config) => referencesOf(config).includes(reference)).map(({ name }) => name);
  const made = artefacts.filter(({ parents }) => parents.some(({ id }) => id === reference)).map(({ name }) => name);
  return [...new Set([...named, ...made])];
}
