/**
 * What an adapter offers: the part of it that choices among kernels depend on. Pure data, so that plans and tests can
 * compare and copy it.
 */

import type { AdapterFacts, EngineDevice } from "./device";

export interface Capabilities {
  readonly f16: boolean;
  readonly subgroups: boolean;
  /** Fixed subgroup size, or 0 where min and max differ or subgroups are absent. */
  readonly subgroupSize: number;
  /** Bytes. */
  readonly maxStorageBufferBindingSize: number;
  /** Bytes. */
  readonly maxComputeWorkgroupStorageSize: number;
  /** A software adapter (lavapipe, SwiftShader): prefers kernels without workgroup memory. */
  readonly cpu: boolean;
  /** Matrix products that were measured on the adapter: choose-matmul.ts. */
  readonly tuned?: Readonly<Record<string, string>>;
}

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|warp|basic render/i;

/** Reads the capabilities of a device. `info` is the adapter's (browsers may leave its strings empty). */
export function capabilitiesOf(device: Pick<EngineDevice, "features" | "limits">, info: AdapterFacts): Capabilities {
  const subgroups = device.features.has("subgroups");
  const min = info.subgroupMinSize ?? 0;
  const max = info.subgroupMaxSize ?? 0;
  return {
    f16: device.features.has("shader-f16"),
    subgroups,
    subgroupSize: subgroups && min === max ? min : 0,
    maxStorageBufferBindingSize: device.limits.maxStorageBufferBindingSize,
    maxComputeWorkgroupStorageSize: device.limits.maxComputeWorkgroupStorageSize,
    cpu:
      info.isFallbackAdapter || SOFTWARE.test(`${info.vendor} ${info.architecture} ${info.device} ${info.description}`),
  };
}

/** One readable line for run records: "NVIDIA ampere", "llvmpipe (LLVM 15.0.6, 256 bits)". */
export function describeAdapter(info: AdapterFacts): string {
  const name =
    info.description || [info.vendor, info.architecture, info.device].filter((part) => part !== "").join(" ");
  return name.trim() || "unnamed adapter";
}
