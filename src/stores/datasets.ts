/**
 * Data sets: the bundled ones and those opened from disk, each with its splits, and the summary of any split.
 *
 * Usage:
 *   const datasets = useDatasets((s) => s.entries);               // entry.data goes into RunConfig.data as it is
 *   const summary = useDatasets((s) => s.summaries[reference]);   // undefined before summarise(reference)
 *   await useDatasets.getState().importFiles({ name, train: file, validation: null, test: null, seed: 0 });
 * Call `load()` once at start. Actions reject with a NagiError; a summary that failed keeps its error in `summaries`.
 * Summaries go by the reference of a split, e.g. `bundled:reviews-ja/train`.
 */
import { create } from "zustand";
import { backend, type DatasetEntry, type DatasetImport, type DatasetSummary } from "../clients/backend";
import { type LibraryState, library } from "./library";

export const useDatasets = create<LibraryState<DatasetEntry, DatasetSummary, [DatasetImport]>>()(
  library({
    list: () => backend().listDatasets(),
    inspect: (reference) => backend().inspectDataset(reference),
    add: (request: DatasetImport) => backend().importDataset(request),
    remove: (id) => backend().deleteDataset(id),
    names: (reference, id) => reference.startsWith(`imported:${id}/`),
  }),
);
