/** Asks a GPU object (navigator.gpu, or Dawn's in Node) for a device with everything the adapter grants. */

import { NagiError } from "../../../src/shared/errors";
import { type AdapterProfile, FEATURES, LIMITS, profileOf } from "./device";
import { Gpu, type GpuOptions } from "./gpu";

export interface OpenOptions extends GpuOptions {
  readonly powerPreference?: GPUPowerPreference;
  /** "default": no more than WebGPU grants everywhere (128 MiB bindings, 256 MiB buffers). Default: all there is. */
  readonly limits?: "adapter" | "default";
}

const noAdapter = (message: string) =>
  new NagiError(
    "gpu.no_adapter",
    `no WebGPU adapter (${message}): update the graphics driver, or allow hardware acceleration in the browser`,
    { message },
  );

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function requestAdapter(gpu: GPU | undefined, powerPreference: GPUPowerPreference): Promise<GPUAdapter> {
  if (gpu === undefined)
    throw new NagiError("gpu.unavailable", "this browser has no WebGPU: use a current Chrome, Edge, Safari or Firefox");
  const adapter = await gpu.requestAdapter({ powerPreference }).catch((error: unknown) => {
    throw noAdapter(reasonOf(error));
  });
  if (adapter === null) throw noAdapter("requestAdapter returned null");
  return adapter;
}

/**
 * What a device of `openGpu` would have, without one.
 * @throws NagiError gpu.unavailable, gpu.no_adapter {message}
 */
export async function adapterProfile(gpu: GPU | undefined): Promise<AdapterProfile> {
  const { limits, features, info } = await requestAdapter(gpu, "high-performance");
  return profileOf(limits, features, info);
}

/**
 * A device with the adapter's maximal limits (unless told otherwise) and its optional features.
 * @param gpu `navigator.gpu`, which is undefined where a browser has no WebGPU.
 * @throws NagiError gpu.unavailable (no WebGPU here), gpu.no_adapter {message} (WebGPU, but no adapter or device).
 */
export async function openGpu(gpu: GPU | undefined, options: OpenOptions = {}): Promise<Gpu> {
  const adapter = await requestAdapter(gpu, options.powerPreference ?? "high-performance");
  const requiredLimits: Record<string, number> = {};
  if (options.limits !== "default") for (const name of LIMITS) requiredLimits[name] = adapter.limits[name];
  const device = await adapter
    .requestDevice({
      label: "nagi",
      requiredLimits,
      requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
    })
    .catch((error: unknown) => {
      throw noAdapter(reasonOf(error));
    });
  return Gpu.fromDevice(device, adapter.info, options);
}
