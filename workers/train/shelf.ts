/** Where a stage's models and pairs come from in the browser: references and artefacts. */
import { NagiError } from "../../src/shared/errors";
import { artefactOf } from "../../src/shared/protocol/pipeline-slots";
import type { FileSource } from "../engine/io/source";
import type { ModelShelf } from "../engine/train/inputs";
import type { DataFile } from "../engine/train/stage";
import type { ArtefactStore } from "./artefact-store";
import type { Sources } from "./sources";

/** Of an artefact of the kind "preferences". */
export const PAIRS = "preferences.jsonl";

export class StudioShelf implements ModelShelf {
  constructor(
    private readonly sources: Pick<Sources, "model" | "data">,
    private readonly artefacts: Pick<ArtefactStore, "open">,
  ) {}

  reference(reference: string): Promise<FileSource> {
    return this.sources.model(reference);
  }

  artefact(id: string): ReturnType<ModelShelf["artefact"]> {
    return this.artefacts.open(id);
  }

  /** Rows or pairs by reference; pairs also by `artefact:SHA256`. @throws data.unreadable, artefact.* */
  async data(reference: string): Promise<DataFile> {
    const id = artefactOf(reference);
    if (id === null) return this.sources.data(reference);
    const { record, files } = await this.artefacts.open(id);
    if (record.kind === "preferences") return { name: PAIRS, bytes: await files.read(PAIRS) };
    throw new NagiError(
      "artefact.wrong_kind",
      `"${record.name}" is of the kind ${record.kind}, pairs are needed. Choose preferences.`,
      { name: record.name, kind: record.kind, accepts: "preferences" },
    );
  }
}
