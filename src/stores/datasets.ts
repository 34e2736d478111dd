/**
 * Data sets: the bundled ones and those opened from disk, each with its splits, and the summary of any split.
 *
 * Usage:
 *   const datasets = useDatasets((s) => s.datasets);              // entry.data goes into RunConfig.data as it is
 *   const summary = useDatasets((s) => s.summaries[reference]);   // undefined before summarise(reference)
 *   await useDatasets.getState().importFiles({ name, train: file, validation: null, test: null, seed: 0 });
 * Call `load()` once at start. Actions reject with a NagiError; a summary that failed keeps its error in `summaries`.
 */
import { create } from "zustand";
import { backend, type DatasetEntry, type DatasetImport, type DatasetSummary } from "../clients/backend";
import { type ErrorData, toErrorData } from "../shared/errors";

/** A value that is asked of the worker. */
export type Fetched<T> =
  | { readonly status: "loading" }
  | { readonly status: "ready"; readonly value: T }
  | { readonly status: "failed"; readonly error: ErrorData };

export interface DatasetsState {
  readonly loaded: boolean;
  readonly loadError: ErrorData | null;
  readonly datasets: readonly DatasetEntry[];
  /** By reference of a split, e.g. `bundled:reviews-ja/train`. */
  readonly summaries: Readonly<Record<string, Fetched<DatasetSummary>>>;
  readonly importing: boolean;
  load(): Promise<void>;
  /** Asks for the summary of a split once; a failed one is asked for again. */
  summarise(reference: string): Promise<void>;
  importFiles(request: DatasetImport): Promise<DatasetEntry>;
  delete(id: string): Promise<void>;
}

export const useDatasets = create<DatasetsState>()((set, get) => {
  const put = (reference: string, summary: Fetched<DatasetSummary>): void =>
    set((state) => ({ summaries: { ...state.summaries, [reference]: summary } }));
  return {
    loaded: false,
    loadError: null,
    datasets: [],
    summaries: {},
    importing: false,
    async load() {
      try {
        set({ datasets: await backend().listDatasets(), loaded: true, loadError: null });
      } catch (error) {
        set({ loaded: true, loadError: toErrorData(error) });
      }
    },
    async summarise(reference) {
      const known = get().summaries[reference];
      if (known !== undefined && known.status !== "failed") return;
      put(reference, { status: "loading" });
      try {
        put(reference, { status: "ready", value: await backend().inspectDataset(reference) });
      } catch (error) {
        put(reference, { status: "failed", error: toErrorData(error) });
      }
    },
    async importFiles(request) {
      set({ importing: true });
      try {
        const entry = await backend().importDataset(request);
        set({ datasets: await backend().listDatasets() });
        return entry;
      } finally {
        set({ importing: false });
      }
    },
    async delete(id) {
      await backend().deleteDataset(id);
      set((state) => ({
        datasets: state.datasets.filter((entry) => entry.id !== id || entry.source === "bundled"),
        summaries: Object.fromEntries(
          Object.entries(state.summaries).filter(([reference]) => !reference.startsWith(`imported:${id}/`)),
        ),
      }));
    },
  };
});
