/**
 * A device that computes nothing and holds nothing: it counts. The engine's own code creates its buffers on it, so that
 * what a run will need is known to the byte before any of it is allocated. It lets nothing run and nothing be read back.
 */

import type { AdapterProfile, EngineDevice, EngineLimits } from "./device";
import { Gpu } from "./gpu";

/** A live buffer, in bytes. */
export interface CountedBuffer {
  readonly label: string;
  readonly bytes: number;
}

const still = (): never => {
  throw new Error("a dry device runs nothing");
};

class DryBuffer implements GPUBuffer {
  readonly __brand = "GPUBuffer";
  readonly mapState = "unmapped";
  readonly mapAsync = still;
  readonly getMappedRange = still;
  readonly unmap = still;
  readonly label: string;
  readonly size: number;
  readonly usage: number;

  constructor(
    { label = "", size, usage }: GPUBufferDescriptor,
    private readonly live: Map<DryBuffer, CountedBuffer>,
  ) {
    this.label = label;
    this.size = size;
    this.usage = usage;
    live.set(this, { label: this.label, bytes: this.size });
  }

  destroy(): undefined {
    this.live.delete(this);
  }
}

class DryDevice implements EngineDevice {
  readonly limits: EngineLimits;
  readonly features: ReadonlySet<string>;
  readonly queue = { __brand: "GPUQueue", submit: still, writeBuffer: () => undefined } as const;
  /** Never settles. */
  readonly lost = new Promise<never>(() => undefined);
  readonly createCommandEncoder = still;
  readonly createQuerySet = still;
  /** In the order of creation. */
  readonly buffers = new Map<DryBuffer, CountedBuffer>();
  /** Largest range that a dispatch binds; `label` is the dispatch's. */
  largestBinding: CountedBuffer = { label: "", bytes: 0 };

  constructor({ limits, features }: AdapterProfile) {
    this.limits = limits;
    this.features = new Set(features);
  }

  createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer {
    return new DryBuffer(descriptor, this.buffers);
  }

  createBindGroup({ label = "", entries }: GPUBindGroupDescriptor): GPUBindGroup {
    for (const { resource } of entries) {
      if (!("buffer" in resource) || resource.size === undefined) continue;
      if (resource.size > this.largestBinding.bytes) this.largestBinding = { label, bytes: resource.size };
    }
    return { __brand: "GPUBindGroup", label };
  }

  createBindGroupLayout({ label = "" }: GPUBindGroupLayoutDescriptor): GPUBindGroupLayout {
    return { __brand: "GPUBindGroupLayout", label };
  }

  createPipelineLayout({ label = "" }: GPUPipelineLayoutDescriptor): GPUPipelineLayout {
    return { __brand: "GPUPipelineLayout", label };
  }

  createShaderModule({ label = "" }: GPUShaderModuleDescriptor): GPUShaderModule {
    const info: GPUCompilationInfo = { __brand: "GPUCompilationInfo", messages: [] };
    return { __brand: "GPUShaderModule", label, getCompilationInfo: () => Promise.resolve(info) };
  }

  createComputePipelineAsync({ label = "" }: GPUComputePipelineDescriptor): Promise<GPUComputePipeline> {
    return Promise.resolve({ __brand: "GPUComputePipeline", label, getBindGroupLayout: still });
  }

  pushErrorScope(): undefined {}

  popErrorScope(): Promise<null> {
    return Promise.resolve(null);
  }

  /** Nothing ever happens to it. */
  addEventListener(): void {}

  destroy(): undefined {
    this.buffers.clear();
  }
}

export interface DryGpu {
  readonly gpu: Gpu;
  /** What is alive, in the order of creation. */
  readonly live: readonly CountedBuffer[];
  /** Largest range that a dispatch binds; `label` is the dispatch's. */
  readonly largestBinding: CountedBuffer;
}

/** A Gpu that counts: of an adapter with these limits and features. Give its `gpu` to whatever allocates. */
export function openDryGpu(profile: AdapterProfile): DryGpu {
  const device = new DryDevice(profile);
  return {
    gpu: Gpu.fromDevice(device, profile.info),
    get live() {
      return [...device.buffers.values()];
    },
    get largestBinding() {
      return device.largestBinding;
    },
  };
}
