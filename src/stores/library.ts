/** What data sets and models have in common: bundled and imported entries, and summaries that are asked for once. */
import type { StateCreator } from "zustand";
import type { LibrarySource } from "../clients/backend";
import { type ErrorData, toErrorData } from "../shared/errors";
import { type Fetched, fetched } from "./fetched";

interface Entry {
  readonly id: string;
  readonly source: LibrarySource;
}

export interface LibraryState<E extends Entry, Summary, Request extends readonly unknown[]> {
  readonly loaded: boolean;
  readonly loadError: ErrorData | null;
  /** Bundled ones first, then the newest. */
  readonly entries: readonly E[];
  /** By reference. */
  readonly summaries: Readonly<Record<string, Fetched<Summary>>>;
  readonly importing: boolean;
  load(): Promise<void>;
  /** Asks for a summary once; a failed one is asked for again. */
  summarise(reference: string): Promise<void>;
  importFiles(...request: Request): Promise<E>;
  delete(id: string): Promise<void>;
}

export interface LibraryActions<E, Summary, Request extends readonly unknown[]> {
  readonly list: () => Promise<E[]>;
  readonly inspect: (reference: string) => Promise<Summary>;
  readonly add: (...request: Request) => Promise<E>;
  readonly remove: (id: string) => Promise<void>;
  /** Whether a reference names the imported entry or a part of it. */
  readonly names: (reference: string, id: string) => boolean;
}

/** A store over one kind of entry. The actions are called when something is done, never at module load. */
export function library<E extends Entry, Summary, Request extends readonly unknown[]>(
  actions: LibraryActions<E, Summary, Request>,
): StateCreator<LibraryState<E, Summary, Request>> {
  return (set, get) => {
    const put = (reference: string, summary: Fetched<Summary>): void =>
      set((state) => ({ summaries: { ...state.summaries, [reference]: summary } }));
    return {
      loaded: false,
      loadError: null,
      entries: [],
      summaries: {},
      importing: false,
      async load() {
        try {
          set({ entries: await actions.list(), loaded: true, loadError: null });
        } catch (error) {
          set({ loaded: true, loadError: toErrorData(error) });
        }
      },
      async summarise(reference) {
        const known = get().summaries[reference];
        if (known !== undefined && known.status !== "failed") return;
        put(reference, { status: "loading" });
        put(reference, await fetched(() => actions.inspect(reference)));
      },
      async importFiles(...request) {
        set({ importing: true });
        try {
          const entry = await actions.add(...request);
          set({ entries: await actions.list() });
          return entry;
        } finally {
          set({ importing: false });
        }
      },
      async delete(id) {
        await actions.remove(id);
        set((state) => ({
          entries: state.entries.filter((entry) => entry.id !== id || entry.source === "bundled"),
          summaries: Object.fromEntries(
            Object.entries(state.summaries).filter(([reference]) => !actions.names(reference, id)),
          ),
        }));
      },
    };
  };
}
