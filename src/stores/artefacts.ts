/**
 * What stages have made, where it came from, and the texts of evaluations.
 *
 * Usage:
 *   const artefacts = useArtefacts((s) => s.artefacts);            // newest first
 *   const lineage = useArtefacts((s) => s.lineages[id]);           // undefined before trace(id)
 *   const texts = useArtefacts((s) => s.generations[id]);          // undefined before read(id)
 * Call `load()` once at start and whenever the backend says that artefacts may have changed.
 */
import { create } from "zustand";
import { backend, type LineageNode } from "../clients/backend";
import { type ErrorData, toErrorData } from "../shared/errors";
import type { ArtefactRecord, Generation } from "../shared/protocol/artefact";
import { type Fetched, fetched } from "./fetched";

export interface ArtefactsState {
  readonly loaded: boolean;
  readonly loadError: ErrorData | null;
  readonly artefacts: readonly ArtefactRecord[];
  /** Of those whose files are on a worker, not here: id to the worker's id. */
  readonly places: Readonly<Record<string, string>>;
  /** By id: the artefact itself, then all it came from. */
  readonly lineages: Readonly<Record<string, Fetched<readonly LineageNode[]>>>;
  /** By id of an evaluation's artefact. */
  readonly generations: Readonly<Record<string, Fetched<readonly Generation[]>>>;
  load(): Promise<void>;
  trace(id: string): Promise<void>;
  read(id: string): Promise<void>;
  /** Its files as a zip; fetched first where they are on a worker. */
  export(id: string): Promise<Blob>;
  /** Its files by path, for what is too large for a zip; fetched as by `export`. */
  files(id: string): Promise<ReadonlyMap<string, Blob>>;
  /** Fetches its files from the worker that has them. */
  pull(id: string): Promise<void>;
  delete(id: string): Promise<void>;
}

export const useArtefacts = create<ArtefactsState>()((set, get) => ({
  loaded: false,
  loadError: null,
  artefacts: [],
  places: {},
  lineages: {},
  generations: {},
  async load() {
    try {
      const [artefacts, places] = await Promise.all([backend().listArtefacts(), backend().artefactPlaces()]);
      set({ artefacts, places, loaded: true, loadError: null });
    } catch (error) {
      set({ loaded: true, loadError: toErrorData(error) });
    }
  },
  async trace(id) {
    const known = get().lineages[id];
    if (known !== undefined && known.status !== "failed") return;
    const put = (value: Fetched<readonly LineageNode[]>) => set((s) => ({ lineages: { ...s.lineages, [id]: value } }));
    put({ status: "loading" });
    put(await fetched(() => backend().lineage(id)));
  },
  async read(id) {
    const known = get().generations[id];
    if (known !== undefined && known.status !== "failed") return;
    const put = (value: Fetched<readonly Generation[]>) =>
      set((s) => ({ generations: { ...s.generations, [id]: value } }));
    put({ status: "loading" });
    put(await fetched(() => backend().generations(id)));
  },
  export: (id) => backend().exportArtefact(id),
  files: (id) => backend().artefactFiles(id),
  async pull(id) {
    await backend().pullArtefact(id);
    await get().load();
  },
  async delete(id) {
    await backend().deleteArtefact(id);
    // A lineage names what is gone as gone: ask again when it is looked at.
    set((s) => ({ artefacts: s.artefacts.filter((one) => one.id !== id), lineages: {} }));
  },
}));
