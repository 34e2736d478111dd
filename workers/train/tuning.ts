/** Which kernels are fastest on this browser's adapter, in IndexedDB. */
import { get, set } from "idb-keyval";
import type { Gpu } from "../engine/gpu/gpu";
import { tuneGpu } from "../engine/train/tuning";

const KEY = "nagi/tuning";

/** Rejects with gpu.*. @see tuneGpu */
export const tune = (gpu: Gpu): Promise<void> =>
  tuneGpu(gpu, { read: () => get<unknown>(KEY), keep: (tables) => set(KEY, tables) });
