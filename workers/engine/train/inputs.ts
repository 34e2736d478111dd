/** Opens what a stage takes in: from ids and references to folders of files. */
import { NagiError } from "../../../src/shared/errors";
import { type ArtefactKind, type ArtefactRecord, sha256 } from "../../../src/shared/protocol/artefact";
import type { RunConfig, StageConfig } from "../../../src/shared/protocol/config";
import type { StageInputs } from "../../../src/shared/protocol/pipeline-inputs";
import { slotsOf } from "../../../src/shared/protocol/pipeline-slots";
import type { FileSource } from "../io/source";
import type { StageInput, StageModel } from "./stage";

/** Where models come from; the browser and the command line each have their own. */
export interface ModelShelf {
  /** `bundled:NAME`, `imported:ID` or a path. @throws model.file_missing */
  reference(reference: string): Promise<FileSource>;
  /** @throws artefact.not_found {id}, storage.corrupt */
  artefact(id: string): Promise<{ readonly record: ArtefactRecord; readonly files: FileSource }>;
}

export const isArtefactId = (id: string): boolean => sha256.safeParse(id).success;

/**
 * A model by an artefact's id or a reference; an adapter together with the model it was trained on.
 * @throws artefact.not_found, artefact.wrong_kind {name, kind, accepts}, model.file_missing
 */
export async function openModel(id: string, shelf: ModelShelf): Promise<Omit<StageModel, "name">> {
  if (!isArtefactId(id)) return { model: await shelf.reference(id), adapter: null };
  const { record, files } = await shelf.artefact(id);
  if (record.kind === "model") return { model: files, adapter: null };
  if (record.kind !== "adapter") throw wrongKind(record, ["model", "adapter"]);
  // A merge never ends in an adapter, so what trained it named its model in this slot.
  const below = record.parents.find(({ slot }) => slot === "model")?.id;
  if (below === undefined) throw wrongKind(record, ["model"]);
  const { model, adapter } = await openModel(below, shelf);
  // PEFT's layout has no place for an adapter on an adapter; `checkPipeline` refuses it.
  if (adapter !== null) throw wrongKind(record, ["model"]);
  return { model, adapter: files };
}

/** @throws artefact.wrong_kind, artefact.not_found, model.file_missing */
export async function openReward(id: string, shelf: ModelShelf): Promise<FileSource> {
  if (!isArtefactId(id)) return shelf.reference(id);
  const { record, files } = await shelf.artefact(id);
  if (record.kind !== "reward_model") throw wrongKind(record, ["reward_model"]);
  return files;
}

/** The parts of a StageInput that come from the stage's slots. @throws as openModel */
export async function openInputs(
  config: RunConfig,
  stage: StageConfig,
  inputs: StageInputs,
  shelf: ModelShelf,
): Promise<Pick<StageInput, "model" | "adapter" | "reward_models" | "models">> {
  const main = inputs.model ?? inputs.adapter ?? config.model.model_name_or_path;
  const reward_models: FileSource[] = [];
  const models: StageModel[] = [];
  for (const { slot, value } of slotsOf(stage)) {
    const id = inputs[slot];
    if (id === undefined)
      throw new NagiError("internal", `nothing was given for ${stage.id}.${slot}`, { message: slot });
    if (slot.startsWith("reward_model")) reward_models.push(await openReward(id, shelf));
    else if (slot.startsWith("models.")) models.push({ name: value, ...(await openModel(id, shelf)) });
  }
  return { ...(await openModel(main, shelf)), reward_models, models };
}

function wrongKind(record: ArtefactRecord, accepts: readonly ArtefactKind[]): NagiError {
  return new NagiError(
    "artefact.wrong_kind",
    `"${record.name}" is of the kind ${record.kind}; needed here: ${accepts.join(" or ")}. Choose another one.`,
    { name: record.name, kind: record.kind, accepts: accepts.join(", ") },
  );
}
