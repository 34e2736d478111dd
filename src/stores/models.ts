/**
 * Base models: the bundled one and folders opened from disk.
 *
 * Usage:
 *   const models = useModels((s) => s.entries);                   // entry.reference goes into RunConfig.model.model_name_or_path
 *   const summary = useModels((s) => s.summaries[reference]);     // undefined before summarise(reference)
 *   await useModels.getState().importFiles("my-model", [...input.files]);   // <input webkitdirectory> or several files
 * Call `load()` once at start. Actions reject with a NagiError; a summary that failed keeps its error in `summaries`.
 */
import { create } from "zustand";
import { backend, type ModelEntry, type ModelSummary } from "../clients/backend";
import { type LibraryState, library } from "./library";

export const useModels = create<LibraryState<ModelEntry, ModelSummary, [name: string, files: readonly File[]]>>()(
  library({
    list: () => backend().listModels(),
    inspect: (reference) => backend().inspectModel(reference),
    // An empty name: the folder's, else "model".
    add: (name: string, files: readonly File[]) => {
      const { folder, paths } = relativePaths(files);
      return backend().importModel({ name: name || folder || "model", files: paths });
    },
    remove: (id) => backend().deleteModel(id),
    names: (reference, id) => reference === `imported:${id}`,
  }),
);

/** A chosen folder's files carry `folder/path` in webkitRelativePath; single files only a name. */
export function relativePaths(files: readonly File[]): { folder: string; paths: { path: string; file: File }[] } {
  const folder = files[0]?.webkitRelativePath.split("/").at(0) ?? "";
  const paths = files.map((file) => {
    const relative = file.webkitRelativePath;
    return { path: relative === "" ? file.name : relative.split("/").slice(1).join("/"), file };
  });
  return { folder, paths };
}
