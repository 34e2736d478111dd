/** Asks a GPU object (navigator.gpu, or Dawn's in Node) for a device with everything the adapter grants. */

import { NagiError } from "../../../src/shared/errors";
import { FEATURES, LIMITS } from "./device";
import { Gpu, type GpuOptions } from "./gpu";

export interface OpenOptions extends GpuOptions {
  readonly powerPreference?: GPUPowerPreference;
  /** "default": no more than WebGPU grants everywhere (128 MiB bindings, 256 MiB buffers). Default: all there is. */
  readonly limits?: "adapter" | "default";
}

/**
 * A device with the adapter's maximal limits (unless told otherwise) and its optional features.
 * @param gpu `navigator.gpu`, which is undefined where a browser has no WebGPU.
 * @throws NagiError gpu.unavailable (no WebGPU here), gpu.no_adapter {message} (WebGPU, but no adapter or device).
 */
export async function openGpu(gpu: GPU | undefined, options: OpenOptions = {}): Promise<Gpu> {
  if (gpu === undefined)
    throw new NagiError("gpu.unavailable", "this browser has no WebGPU: use a current Chrome, Edge, Safari or Firefox");
  const fail = (message: string) =>
    new NagiError(
      "gpu.no_adapter",
      `no WebGPU adapter (${message}): update the graphics driver, or allow hardware acceleration in the browser`,
      { message },
    );
  const adapter = await gpu
    .requestAdapter({ powerPreference: options.powerPreference ?? "high-performance" })
    .catch((error: unknown) => {
      throw fail(error instanceof Error ? error.message : String(error));
    });
  if (adapter === null) throw fail("requestAdapter returned null");
  const requiredLimits: Record<string, number> = {};
  if (options.limits !== "default") for (const name of LIMITS) requiredLimits[name] = adapter.limits[name];
  const device = await adapter
    .requestDevice({
      label: "nagi",
      requiredLimits,
      requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
    })
    .catch((error: unknown) => {
      throw fail(error instanceof Error ? error.message : String(error));
    });
  return Gpu.fromDevice(device, adapter.info, options);
}
