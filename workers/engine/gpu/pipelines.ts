/**
 * Compute pipelines, cached by (kernel, overrides, elements, writable reads), with explicit bind group layouts from the
 * kernel's definition, never "auto": a shader whose declaration disagrees with the layout then fails at creation.
 */

import { NagiError } from "../../../src/shared/errors";
import type { ElementType, KernelDefinition } from "../kernels/define";
import type { Counters } from "./counters";
import type { EngineDevice } from "./device";
import { composeWgsl, interfaceProblems } from "./wgsl";

export interface BuiltPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export interface PipelineRequest {
  readonly kernel: KernelDefinition;
  readonly overrides: Readonly<Record<string, number>>;
  readonly elements: Readonly<Record<string, ElementType>>;
  /**
   * Bindings that are declared `read` but share a buffer with a written one: WebGPU allows a buffer only one kind of
   * usage in a dispatch, so these are compiled and bound as read_write.
   */
  readonly writable: readonly string[];
}

/** GPUShaderStage.COMPUTE; the global does not exist in Node. */
const COMPUTE = 4;

const validation = (kernel: KernelDefinition, message: string) =>
  new NagiError("gpu.validation", `kernel ${kernel.name}: ${message}`, { label: kernel.name, message });

/** The overrides or elements in force: the definition's defaults with the request's values. @throws on unknown names. */
export function withDefaults<T>(
  kernel: KernelDefinition,
  kind: "override" | "element",
  defaults: Readonly<Record<string, T>>,
  given: Readonly<Record<string, T>>,
): Record<string, T> {
  for (const name of Object.keys(given)) if (!(name in defaults)) throw validation(kernel, `unknown ${kind} "${name}"`);
  return { ...defaults, ...given };
}

export class Pipelines {
  private readonly built = new Map<string, Promise<BuiltPipeline>>();
  private readonly modules = new Map<string, Promise<GPUShaderModule>>();
  private readonly layouts = new Map<string, GPUBindGroupLayout>();
  /** Names are unique by contract; a second definition under one name would fetch the first one's pipelines. */
  private readonly kernels = new Map<string, KernelDefinition>();

  constructor(
    private readonly device: EngineDevice,
    private readonly counters: Counters,
  ) {}

  /**
   * The pipeline for a request, compiled at most once.
   * @throws NagiError gpu.validation {label, message} when the WGSL does not compile, disagrees with the definition, or
   * needs a feature the device lacks.
   */
  get(request: PipelineRequest): Promise<BuiltPipeline> {
    const { kernel, overrides, elements, writable } = request;
    const known = this.kernels.get(kernel.name);
    if (known !== undefined && known.source !== kernel.source)
      return Promise.reject(validation(kernel, "two kernels have this name"));
    this.kernels.set(kernel.name, kernel);
    const moduleKey = `${kernel.name}|${JSON.stringify(Object.entries(elements).sort())}|${[...writable].sort().join()}`;
    const key = `${moduleKey}|${JSON.stringify(Object.entries(overrides).sort())}`;
    let promise = this.built.get(key);
    if (promise === undefined) {
      promise = this.build(request, moduleKey);
      this.built.set(key, promise);
    }
    return promise;
  }

  private async build(request: PipelineRequest, moduleKey: string): Promise<BuiltPipeline> {
    const { kernel, overrides } = request;
    let module = this.modules.get(moduleKey);
    if (module === undefined) {
      module = this.compile(request);
      this.modules.set(moduleKey, module);
    }
    const layout = this.layout(request);
    this.device.pushErrorScope("validation");
    const pipelineLayout = this.device.createPipelineLayout({ label: kernel.name, bindGroupLayouts: [layout] });
    const scope = this.device.popErrorScope();
    const compiled = await module;
    const layoutError = await scope;
    if (layoutError !== null) throw validation(kernel, layoutError.message);
    try {
      const pipeline = await this.device.createComputePipelineAsync({
        label: kernel.name,
        layout: pipelineLayout,
        compute: { module: compiled, entryPoint: "main", constants: { ...overrides } },
      });
      this.counters.pipelines += 1;
      return { pipeline, layout };
    } catch (error) {
      throw validation(kernel, error instanceof Error ? error.message : String(error));
    }
  }

  private async compile({ kernel, elements, writable }: PipelineRequest): Promise<GPUShaderModule> {
    const problems = interfaceProblems(kernel);
    if (problems.length > 0) throw validation(kernel, problems.join("; "));
    for (const feature of kernel.requires)
      if (!this.device.features.has(feature))
        throw validation(kernel, `needs the feature ${feature}, which the adapter lacks`);
    if (Object.values(elements).includes("f16") && !this.device.features.has("shader-f16"))
      throw validation(kernel, "needs the feature shader-f16, which the adapter lacks");
    const code = composeWgsl(kernel, elements, new Set(writable));
    this.device.pushErrorScope("validation");
    const module = this.device.createShaderModule({ label: kernel.name, code });
    const scope = this.device.popErrorScope();
    const info = await module.getCompilationInfo();
    const error = await scope;
    const messages = info.messages.filter((message) => message.type === "error");
    if (error !== null || messages.length > 0) {
      const lines = code.split("\n");
      const text = messages
        .map((m) => `line ${m.lineNum}: ${m.message}: ${(lines[m.lineNum - 1] ?? "").trim()}`)
        .join("; ");
      throw validation(kernel, text || (error?.message ?? "does not compile"));
    }
    return module;
  }

  private layout({ kernel, writable }: PipelineRequest): GPUBindGroupLayout {
    const access = kernel.bindings.map((b) => b.access === "read_write" || writable.includes(b.name));
    const key = `${access.map(Number).join("")}|${Math.ceil(kernel.params.length / 4)}`;
    let layout = this.layouts.get(key);
    if (layout === undefined) {
      const entries: GPUBindGroupLayoutEntry[] = access.map((write, binding) => ({
        binding,
        visibility: COMPUTE,
        buffer: { type: write ? "storage" : "read-only-storage" },
      }));
      if (kernel.params.length > 0)
        entries.push({
          binding: entries.length,
          visibility: COMPUTE,
          // Params slots are multiples of 16 bytes, which also lets kernels of about the same size share a layout.
          buffer: { type: "uniform", minBindingSize: 16 * Math.ceil(kernel.params.length / 4) },
        });
      layout = this.device.createBindGroupLayout({ label: key, entries });
      this.layouts.set(key, layout);
    }
    return layout;
  }
}
