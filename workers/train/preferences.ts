/** Pairs that people made, as an artefact that stages can learn from. */
import { NagiError } from "../../src/shared/errors";
import type { ArtefactRecord } from "../../src/shared/protocol/artefact";
import type { PreferencesImport } from "../../src/shared/protocol/library";
import { parsePreferences } from "../engine/data/preferences";
import type { ArtefactStore } from "./artefact-store";
import { PAIRS } from "./shelf";

/** Stands where a run's id would: no run has made them. */
const MADE_BY = "people";

/** @throws data.*, storage.quota */
export async function importPreferences(
  { name, file, parents }: PreferencesImport,
  artefacts: Pick<ArtefactStore, "save">,
): Promise<ArtefactRecord> {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch (cause) {
    const reason = "the browser can no longer read it; it was moved or changed since it was chosen";
    const message = `${file.name}: ${reason}. Choose it again.`;
    throw new NagiError("data.unreadable", message, { file: file.name, reason }, { cause });
  }
  const lines = parsePreferences(bytes, file.name).map((pair) => `${JSON.stringify(pair)}\n`);
  return artefacts.save(new Map([[PAIRS, new TextEncoder().encode(lines.join(""))]]), {
    kind: "preferences",
    name: name.trim() || file.name,
    created: Date.now(),
    parents: [...parents],
    run_id: MADE_BY,
    stage: null,
    seed: 0,
  });
}
