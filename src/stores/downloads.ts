/** Models on their way from a hub. The worker says when there is something new (`load`); what has arrived is kept. */
import { create } from "zustand";
import { backend, type DownloadState, type ModelRequest } from "../clients/backend";

export interface DownloadsStore {
  readonly entries: readonly DownloadState[];
  load(): Promise<void>;
  /** Resolves once it is under way; how it goes on is in `entries`. */
  start(request: ModelRequest): Promise<void>;
  stop(id: string): Promise<void>;
  remove(id: string): Promise<void>;
}

export const useDownloads = create<DownloadsStore>()((set, get) => ({
  entries: [],
  async load() {
    set({ entries: await backend().listDownloads() });
  },
  async start(request) {
    await backend().startDownload(request);
    await get().load();
  },
  async stop(id) {
    await backend().stopDownload(id);
    await get().load();
  },
  async remove(id) {
    await backend().removeDownload(id);
    await get().load();
  },
}));
