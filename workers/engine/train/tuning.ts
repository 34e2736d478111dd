/** Gives a GPU the fastest kernels of its adapter: measured once, kept by the caller. */
import { z } from "zod";
import type { Gpu } from "../gpu/gpu";
import { tunedProblems, tuneMatmul } from "../kernels/tune-matmul";

/** By adapter: choose-matmul.ts' key of a product -> name of a candidate. Names that are gone are not followed. */
const tables = z.record(z.string(), z.record(z.string(), z.string()));

export interface TuningStore {
  /** What was kept last; anything else counts as nothing. */
  read(): Promise<unknown>;
  keep(tables: Readonly<Record<string, Readonly<Record<string, string>>>>): Promise<void>;
}

/**
 * Gives the GPU the kept choices for its adapter, and measures first where there are none: about a second, once. Software
 * adapters stay with the choices that were measured for them beforehand. Call before plans are compiled. Rejects with
 * gpu.* and what the store says.
 */
export async function tuneGpu(gpu: Gpu, store: TuningStore): Promise<void> {
  if (gpu.capabilities.cpu) return;
  const { success, data } = tables.safeParse(await store.read());
  const known = success ? data : {};
  const table = known[gpu.adapterName];
  if (table) return gpu.setTuned(table);
  const measured = await tuneMatmul(gpu, tunedProblems(gpu.capabilities));
  gpu.setTuned(measured);
  await store.keep({ ...known, [gpu.adapterName]: measured });
}
