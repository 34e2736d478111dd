/**
 * Base models: the bundled one and folders opened from disk.
 *
 * Usage:
 *   const models = useModels((s) => s.models);                    // entry.reference goes into RunConfig.model.model_name_or_path
 *   const summary = useModels((s) => s.summaries[reference]);     // undefined before summarise(reference)
 *   await useModels.getState().importFiles("my-model", [...input.files]);   // <input webkitdirectory> or several files
 * Call `load()` once at start. Actions reject with a NagiError; a summary that failed keeps its error in `summaries`.
 */
import { create } from "zustand";
import { backend, type ModelEntry, type ModelSummary } from "../clients/backend";
import { type ErrorData, toErrorData } from "../shared/errors";
import type { Fetched } from "./datasets";

export interface ModelsState {
  readonly loaded: boolean;
  readonly loadError: ErrorData | null;
  readonly models: readonly ModelEntry[];
  /** By reference, e.g. `bundled:nagi-base`. */
  readonly summaries: Readonly<Record<string, Fetched<ModelSummary>>>;
  readonly importing: boolean;
  load(): Promise<void>;
  summarise(reference: string): Promise<void>;
  /** @param name shown in lists; empty: the folder's name, else "model" */
  importFiles(name: string, files: readonly File[]): Promise<ModelEntry>;
  delete(id: string): Promise<void>;
}

export const useModels = create<ModelsState>()((set, get) => {
  const put = (reference: string, summary: Fetched<ModelSummary>): void =>
    set((state) => ({ summaries: { ...state.summaries, [reference]: summary } }));
  return {
    loaded: false,
    loadError: null,
    models: [],
    summaries: {},
    importing: false,
    async load() {
      try {
        set({ models: await backend().listModels(), loaded: true, loadError: null });
      } catch (error) {
        set({ loaded: true, loadError: toErrorData(error) });
      }
    },
    async summarise(reference) {
      const known = get().summaries[reference];
      if (known !== undefined && known.status !== "failed") return;
      put(reference, { status: "loading" });
      try {
        put(reference, { status: "ready", value: await backend().inspectModel(reference) });
      } catch (error) {
        put(reference, { status: "failed", error: toErrorData(error) });
      }
    },
    async importFiles(name, files) {
      set({ importing: true });
      try {
        const { folder, paths } = relativePaths(files);
        const entry = await backend().importModel({ name: name || folder || "model", files: paths });
        set({ models: await backend().listModels() });
        return entry;
      } finally {
        set({ importing: false });
      }
    },
    async delete(id) {
      await backend().deleteModel(id);
      set((state) => ({
        models: state.models.filter((entry) => entry.id !== id || entry.source === "bundled"),
        summaries: Object.fromEntries(
          Object.entries(state.summaries).filter(([reference]) => reference !== `imported:${id}`),
        ),
      }));
    },
  };
});

/** A chosen folder's files carry `folder/path` in webkitRelativePath; single files only a name. */
export function relativePaths(files: readonly File[]): { folder: string; paths: { path: string; file: File }[] } {
  const folder = files[0]?.webkitRelativePath.split("/").at(0) ?? "";
  const paths = files.map((file) => {
    const relative = file.webkitRelativePath;
    return { path: relative === "" ? file.name : relative.split("/").slice(1).join("/"), file };
  });
  return { folder, paths };
}
