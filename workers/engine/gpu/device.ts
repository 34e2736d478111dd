/** The part of a GPUDevice that the engine uses: a real device has it, and so has dry-device.ts, which only counts. */

/** Limits that decide which models fit and how kernels run. Without asking, WebGPU grants little of them. */
export const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxUniformBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

export type EngineLimits = Readonly<Record<(typeof LIMITS)[number], number>>;

/** Optional features that the engine makes use of. */
export const FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;

/** What of an adapter's info the engine reads. Browsers may leave strings empty and sizes out. */
export type AdapterFacts = Pick<
  GPUAdapterInfo,
  "vendor" | "architecture" | "device" | "description" | "isFallbackAdapter"
> &
  Partial<Pick<GPUAdapterInfo, "subgroupMinSize" | "subgroupMaxSize">>;

/** What choices of kernels and sizes depend on: plain data, of an adapter or of a device. */
export interface AdapterProfile {
  readonly limits: EngineLimits;
  readonly features: readonly string[];
  readonly info: AdapterFacts;
}

/** The profile of an adapter, before it is asked for a device. */
export function profileOf(
  limits: EngineLimits,
  features: ReadonlySet<string>,
  { vendor, architecture, device, description, isFallbackAdapter, subgroupMinSize, subgroupMaxSize }: AdapterFacts,
): AdapterProfile {
  const sizes = {
    ...(subgroupMinSize === undefined ? {} : { subgroupMinSize }),
    ...(subgroupMaxSize === undefined ? {} : { subgroupMaxSize }),
  };
  return {
    limits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxUniformBufferBindingSize: limits.maxUniformBufferBindingSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeWorkgroupSizeY: limits.maxComputeWorkgroupSizeY,
      maxComputeWorkgroupSizeZ: limits.maxComputeWorkgroupSizeZ,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    },
    features: FEATURES.filter((feature) => features.has(feature)),
    info: { vendor, architecture, device, description, isFallbackAdapter, ...sizes },
  };
}

export interface EngineDevice
  extends Pick<
    GPUDevice,
    | "createBuffer"
    | "createBindGroup"
    | "createBindGroupLayout"
    | "createPipelineLayout"
    | "createShaderModule"
    | "createComputePipelineAsync"
    | "createCommandEncoder"
    | "createQuerySet"
    | "pushErrorScope"
    | "popErrorScope"
    | "addEventListener"
    | "destroy"
  > {
  readonly limits: EngineLimits;
  readonly features: ReadonlySet<string>;
  readonly queue: Pick<GPUQueue, "submit" | "writeBuffer">;
  readonly lost: Promise<Pick<GPUDeviceLostInfo, "reason" | "message">>;
}
