/**
 * The device as the engine sees it: buffers, prepared dispatches, submits and reads. Nothing else in the engine touches
 * GPUDevice or GPUQueue. A step replays prepared dispatches: submit() makes no buffer, bind group or pipeline and waits
 * for nothing; results come back through reads that settle later.
 */

import { NagiError } from "../../../src/shared/errors";
import type { ElementType, KernelDefinition } from "../kernels/define";
import { Allocator, type BufferSlice, USAGE } from "./allocator";
import { type Capabilities, capabilitiesOf, describeAdapter } from "./capabilities";
import { type Counters, noCounts } from "./counters";
import { type AdapterFacts, type AdapterProfile, type EngineDevice, type EngineLimits, profileOf } from "./device";
import type { Dispatch } from "./dispatch";
import { splitSubmits } from "./estimate";
import { Patience } from "./patience";
import { Pipelines, withDefaults } from "./pipelines";
import { type KernelTime, profileDispatches } from "./profiler";
import { StagingRing } from "./staging";
import { packParams, UniformArena } from "./uniforms";

export type { BufferSlice } from "./allocator";
export type { Capabilities } from "./capabilities";
export type { Counters } from "./counters";
export type { Dispatch } from "./dispatch";
export type { KernelTime } from "./profiler";

export interface DispatchSpec {
  /** For errors and profiles: "layers.0.attention.qkv d_weight". */
  readonly label: string;
  readonly kernel: KernelDefinition;
  readonly overrides?: Readonly<Record<string, number>>;
  readonly elements?: Readonly<Record<string, ElementType>>;
  /** One slice for every binding of the kernel. */
  readonly bindings: Readonly<Record<string, BufferSlice>>;
  readonly params: Readonly<Record<string, number>>;
}

const SLICE_ALIGN = 256;

export interface GpuOptions {
  /** Called once by destroy(). */
  readonly onDestroy?: () => void;
  /** Sleep before waiting for results: for Dawn in Node, which spins a core while a promise is pending. */
  readonly patient?: boolean;
  /** Bytes: behaves as if the adapter bound no more at a time. To see what becomes of large models with small ones. */
  readonly largestBinding?: number;
}

/** One compute pass over all dispatches. */
function encodePass(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[]): void {
  const pass = encoder.beginComputePass();
  for (const { pipeline, bindGroup, workgroups } of dispatches) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...workgroups);
  }
  pass.end();
}

export class Gpu {
  private current: Capabilities;
  /** The adapter in one line, for run records. */
  readonly adapterName: string;
  readonly limits: EngineLimits;
  /** What sizes and kernels depend on: a preflight counts for the same adapter. */
  readonly adapter: AdapterProfile;
  /** Live totals; copy with snapshot() to compare. */
  readonly counters: Counters = noCounts();
  /** Resolves when the device is lost without destroy(): NagiError gpu.lost {reason, message}. Never rejects. */
  readonly lost: Promise<NagiError>;

  private readonly allocator: Allocator;
  private readonly pipelines: Pipelines;
  private readonly uniforms: UniformArena;
  private readonly staging: StagingRing;
  private failure: NagiError | null = null;
  private destroyed = false;
  private readonly onDestroy: (() => void) | undefined;
  private readonly patience: Patience | undefined;

  private constructor(
    private readonly device: EngineDevice,
    info: AdapterFacts,
    options: GpuOptions,
  ) {
    const capabilities = capabilitiesOf(device, info);
    const { largestBinding = Infinity } = options;
    const maxStorageBufferBindingSize = Math.min(capabilities.maxStorageBufferBindingSize, largestBinding);
    this.current = { ...capabilities, maxStorageBufferBindingSize };
    this.adapterName = describeAdapter(info);
    this.limits = device.limits;
    const profile = profileOf(device.limits, device.features, info);
    this.adapter = { ...profile, limits: { ...profile.limits, maxStorageBufferBindingSize } };
    this.onDestroy = options.onDestroy;
    this.patience = options.patient ? new Patience() : undefined;
    const fail = (error: NagiError) => this.fail(error);
    this.allocator = new Allocator(device, this.counters, fail);
    this.pipelines = new Pipelines(device, this.counters);
    this.uniforms = new UniformArena(device.queue, this.allocator);
    this.staging = new StagingRing(this.allocator);
    this.lost = new Promise((resolve) => {
      void device.lost.then(({ reason, message }) => {
        const error = new NagiError(
          "gpu.lost",
          `the GPU device was lost (${reason || "unknown"}): ${message}. Start again from the last checkpoint`,
          { reason: reason || "unknown", message },
        );
        this.fail(error);
        if (!this.destroyed) resolve(error);
      });
    });
    device.addEventListener("uncapturederror", (event) => {
      const { message } = event.error;
      const memory = typeof GPUOutOfMemoryError !== "undefined" && event.error instanceof GPUOutOfMemoryError;
      fail(
        memory
          ? new NagiError("gpu.out_of_memory", `no GPU memory left (${message}): reduce the batch or the model`, {
              what: "",
              needed: 0,
            })
          : new NagiError("gpu.validation", `WebGPU reported: ${message}`, { label: "", message }),
      );
    });
  }

  /** Wraps a device. `info` is its adapter's info. */
  static fromDevice(device: EngineDevice, info: AdapterFacts, options: GpuOptions = {}): Gpu {
    return new Gpu(device, info, options);
  }

  get capabilities(): Capabilities {
    return this.current;
  }

  /** Takes measured choices of kernels, by `matmulKey`: before plans are compiled. */
  setTuned(tuned: Readonly<Record<string, string>>): void {
    this.current = { ...this.current, tuned };
  }

  /** A copy of the counters. */
  snapshot(): Counters {
    return { ...this.counters };
  }

  /**
   * A zeroed storage buffer of `bytes`, as one slice.
   * @throws NagiError gpu.limit {what, needed, granted} above maxBufferSize; gpu.out_of_memory surfaces at the next call.
   */
  createBuffer(label: string, bytes: number): BufferSlice {
    this.check();
    const buffer = this.allocator.create(label, bytes, USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST);
    return { buffer, offset: 0, size: buffer.size };
  }

  /** Frees the whole buffer behind a slice; submitted work still finishes. */
  freeBuffer(slice: BufferSlice): void {
    this.allocator.destroy(slice.buffer);
  }

  /**
   * Prepares one dispatch: pipeline (cached), params (in the uniform arena), bind group.
   * @throws NagiError gpu.limit where a binding or a workgroup count is larger than the adapter grants,
   * gpu.validation {label, message} for everything WebGPU refuses, gpu.lost, gpu.out_of_memory.
   */
  async dispatch(spec: DispatchSpec): Promise<Dispatch> {
    this.check();
    const { kernel, label } = spec;
    const overrides = withDefaults(kernel, "override", kernel.overrides, spec.overrides ?? {});
    const elements = withDefaults(kernel, "element", kernel.elements, spec.elements ?? {});
    const slices = kernel.bindings.map(({ name, access }) => {
      const slice = spec.bindings[name];
      if (slice === undefined) throw this.invalid(label, kernel, `binding "${name}" is missing`);
      this.checkBinding(label, kernel, name, slice);
      return { name, written: access === "read_write", slice };
    });
    for (const name of Object.keys(spec.bindings))
      if (!slices.some((entry) => entry.name === name)) throw this.invalid(label, kernel, `unknown binding "${name}"`);
    const writable = this.sharedReads(label, kernel, slices);
    const params = packParams(kernel, spec.params);
    const workgroups = kernel.workgroups(spec.params, overrides);
    const most = this.limits.maxComputeWorkgroupsPerDimension;
    for (const count of workgroups)
      if (!(Number.isInteger(count) && count >= 1 && count <= most))
        throw new NagiError(
          "gpu.limit",
          `${label} (kernel ${kernel.name}): ${workgroups.join(" x ")} workgroups, at most ${most} each way`,
          {
            what: `${label} workgroups`,
            needed: count,
            granted: most,
          },
        );
    const { pipeline, layout } = await this.pipelines.get({ kernel, overrides, elements, writable });
    this.check();
    const entries: GPUBindGroupEntry[] = slices.map(({ slice }, binding) => ({ binding, resource: slice }));
    if (kernel.params.length > 0) entries.push({ binding: entries.length, resource: this.uniforms.slot(params) });
    this.device.pushErrorScope("validation");
    const bindGroup = this.device.createBindGroup({ label, layout, entries });
    const error = await this.device.popErrorScope();
    // A buffer that could not be allocated shows here as an invalid one: its own error says more.
    if (error !== null) this.check();
    if (error !== null) throw this.invalid(label, kernel, error.message);
    this.counters.bindGroups += 1;
    const bytes = slices.reduce((sum, { slice }) => sum + slice.size, 0);
    const flops = kernel.work?.(spec.params, overrides) ?? 0;
    const worstFlops = kernel.worstWork?.(spec.params, overrides) ?? flops;
    return { label, pipeline, bindGroup, workgroups, flops, worstFlops, bytes };
  }

  /**
   * Enqueues the dispatches in order, then copies of `reads`; waits for nothing. Long lists become several submits so
   * that none holds the GPU for long.
   * @returns for each read a promise of its bytes, settled when the GPU got there; rejects with NagiError gpu.lost or
   * gpu.validation if anything went wrong before.
   */
  submit(dispatches: readonly Dispatch[], reads: readonly BufferSlice[] = []): Promise<ArrayBuffer>[] {
    this.check();
    const lists = splitSubmits(dispatches, this.capabilities.cpu);
    const copies: { staging: GPUBuffer; size: number }[] = [];
    const last = Math.max(0, lists.length - 1);
    for (let index = 0; index <= last; index++) {
      const encoder = this.device.createCommandEncoder();
      const list = lists[index];
      if (list) encodePass(encoder, list);
      if (index === last) for (const slice of reads) copies.push(this.copyToStaging(encoder, slice));
      this.device.queue.submit([encoder.finish()]);
      this.counters.submits += 1;
    }
    this.counters.dispatches += dispatches.length;
    this.patience?.submitted(dispatches.reduce((sum, { flops, bytes }) => sum + (flops || bytes), 0));
    return copies.map(({ staging, size }) => this.mapped(staging, size));
  }

  /** Overwrites the start of a slice; ordered with submits. Byte lengths that 4 does not divide are padded with zeros. */
  write(slice: BufferSlice, data: ArrayBufferView): void {
    this.check();
    if (data.byteLength > slice.size)
      throw new Error(`write of ${data.byteLength} bytes into a slice of ${slice.size} ("${slice.buffer.label}")`);
    if (data.byteLength % 4 === 0 && data.buffer instanceof ArrayBuffer) {
      this.device.queue.writeBuffer(slice.buffer, slice.offset, data.buffer, data.byteOffset, data.byteLength);
      return;
    }
    const padded = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
    padded.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    this.device.queue.writeBuffer(slice.buffer, slice.offset, padded);
  }

  /** The bytes of a slice after all work submitted so far. */
  async read(slice: BufferSlice): Promise<ArrayBuffer> {
    return this.readLater(slice);
  }

  /** Enqueues a copy of the slice now; the promise settles when the GPU got there. */
  readLater(slice: BufferSlice): Promise<ArrayBuffer> {
    const [result] = this.submit([], [slice]);
    if (result === undefined) throw new Error("submit returned no read");
    return result;
  }

  /** Time of each dispatch by timestamp queries, one run in order. Empty where the adapter has none. */
  profile(dispatches: readonly Dispatch[]): Promise<KernelTime[]> {
    this.check();
    return profileDispatches(this.device, this.allocator, dispatches);
  }

  /** Throws what went wrong earlier, if anything did: a failed device computes garbage from there on. */
  check(): void {
    if (this.failure !== null) throw this.failure;
  }

  /** Loses the device as a driver reset would: `lost` resolves. For tests of what comes after. */
  simulateLoss(): void {
    this.device.destroy();
  }

  /** Frees everything; pending reads reject with gpu.lost. */
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.uniforms.destroy();
    this.staging.destroy();
    this.device.destroy();
    this.onDestroy?.();
  }

  private fail(error: NagiError): void {
    this.failure ??= error;
  }

  private invalid(label: string, kernel: KernelDefinition, message: string): NagiError {
    return new NagiError("gpu.validation", `${label} (kernel ${kernel.name}): ${message}`, { label, message });
  }

  private checkBinding(label: string, kernel: KernelDefinition, name: string, slice: BufferSlice): void {
    if (slice.offset % SLICE_ALIGN !== 0 || slice.size <= 0 || slice.size % 4 !== 0)
      throw this.invalid(
        label,
        kernel,
        `"${name}" is bound at ${slice.offset} with ${slice.size} bytes: offsets are multiples of ${SLICE_ALIGN}, sizes of 4`,
      );
    const granted = this.capabilities.maxStorageBufferBindingSize;
    if (!(slice.size <= granted))
      throw new NagiError(
        "gpu.limit",
        `${label} (kernel ${kernel.name}): "${name}" binds ${slice.size} bytes, the adapter allows ${granted} (maxStorageBufferBindingSize)`,
        { what: `${label}: ${name}`, needed: slice.size, granted },
      );
  }

  /** Names of read bindings that share a buffer with a written one; refuses ranges that overlap a written range. */
  private sharedReads(
    label: string,
    kernel: KernelDefinition,
    slices: readonly { readonly name: string; readonly written: boolean; readonly slice: BufferSlice }[],
  ): string[] {
    const writtenBuffers = new Set(slices.filter((entry) => entry.written).map((entry) => entry.slice.buffer));
    const shared = slices.filter((entry) => writtenBuffers.has(entry.slice.buffer));
    shared.forEach((a, index) => {
      for (const b of shared.slice(index + 1)) {
        if (a.slice.buffer !== b.slice.buffer) continue;
        const apart =
          a.slice.offset + a.slice.size <= b.slice.offset || b.slice.offset + b.slice.size <= a.slice.offset;
        if (!apart)
          throw this.invalid(label, kernel, `"${a.name}" and "${b.name}" overlap in a buffer that the dispatch writes`);
      }
    });
    return shared.filter((entry) => !entry.written).map((entry) => entry.name);
  }

  private copyToStaging(encoder: GPUCommandEncoder, slice: BufferSlice): { staging: GPUBuffer; size: number } {
    const staging = this.staging.acquire(slice.size);
    encoder.copyBufferToBuffer(slice.buffer, slice.offset, staging, 0, slice.size);
    this.counters.readbacks += 1;
    return { staging, size: slice.size };
  }

  private async mapped(staging: GPUBuffer, size: number): Promise<ArrayBuffer> {
    const ticket = this.patience?.ticket();
    try {
      if (ticket) await this.patience?.wait(ticket);
      await staging.mapAsync(1, 0, size);
      if (ticket) this.patience?.done(ticket);
    } catch (error) {
      // The loss event may arrive after the rejection it causes.
      await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, 100))]);
      this.check();
      throw error;
    }
    const copy = staging.getMappedRange(0, size).slice(0);
    staging.unmap();
    this.staging.release(staging);
    this.check();
    return copy;
  }
}
