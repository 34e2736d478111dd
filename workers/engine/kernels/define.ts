/**
 * What a kernel is: a real `.wgsl` file plus everything needed to bind and dispatch it. A kernel says what the GPU does;
 * what it means (gradients, names, references) is declared by the op that uses it.
 *
 * The WGSL file declares its own bindings in group 0: binding i is `bindings[i]`, and the last binding,
 * `bindings.length`, is `var<uniform> params: Params`, a struct of 4-byte scalars in the order of `params`.
 */

/** Element type of a storage buffer. f16 is storage only: arithmetic is f32. */
export type ElementType = "f32" | "f16" | "u32" | "i32";

export interface KernelBinding {
  readonly name: string;
  readonly access: "read" | "read_write";
}

export interface KernelParam {
  readonly name: string;
  readonly type: "u32" | "f32";
}

export type Workgroups = readonly [x: number, y: number, z: number];

/** Optional WGSL features a kernel may need; a kernel without them is the baseline and runs everywhere. */
export type KernelFeature = "shader-f16" | "subgroups";

export interface KernelDefinition {
  /** Unique; equals the file's base name. */
  readonly name: string;
  /** The text of the `.wgsl` file (`import source from "./x.wgsl?raw"`). */
  readonly source: string;
  readonly bindings: readonly KernelBinding[];
  readonly params: readonly KernelParam[];
  /** Names and defaults of the WGSL `override` constants. */
  readonly overrides: Readonly<Record<string, number>>;
  /**
   * Element aliases the source leaves open, with their defaults: `{ WEIGHT: "f32" }` makes the pipeline builder prepend
   * `alias WEIGHT = f32;` (and `enable f16;` where one is f16).
   */
  readonly elements: Readonly<Record<string, ElementType>>;
  readonly requires: readonly KernelFeature[];
  /** Workgroup counts from the params and the overrides in force. Each at most 65,535: fold into y where x may exceed. */
  readonly workgroups: (
    params: Readonly<Record<string, number>>,
    overrides: Readonly<Record<string, number>>,
  ) => Workgroups;
  /**
   * Estimated floating-point operations of one dispatch. Left out for memory-bound kernels: the bytes bound say how long
   * they take.
   */
  readonly work?: Work;
  /** The same at worst, where it depends on the data: what long submits are split by. Left out: `work`. */
  readonly worstWork?: Work;
}

/** Floating-point operations from the params and the overrides in force. */
export type Work = (params: Readonly<Record<string, number>>, overrides: Readonly<Record<string, number>>) => number;

export interface KernelSpec {
  readonly name: string;
  readonly source: string;
  readonly bindings: Readonly<Record<string, "read" | "read_write">>;
  readonly params: Readonly<Record<string, "u32" | "f32">>;
  readonly overrides?: Readonly<Record<string, number>>;
  readonly elements?: Readonly<Record<string, ElementType>>;
  readonly requires?: readonly KernelFeature[];
  readonly workgroups: KernelDefinition["workgroups"];
  readonly work?: Work;
  readonly worstWork?: Work;
}

/** Declares a kernel. Key order of `bindings` and `params` is the order in the WGSL file. */
export function defineKernel(spec: KernelSpec): KernelDefinition {
  return {
    name: spec.name,
    source: spec.source,
    bindings: Object.entries(spec.bindings).map(([name, access]) => ({ name, access })),
    params: Object.entries(spec.params).map(([name, type]) => ({ name, type })),
    overrides: spec.overrides ?? {},
    elements: spec.elements ?? {},
    requires: spec.requires ?? [],
    workgroups: spec.workgroups,
    ...(spec.work ? { work: spec.work } : {}),
    ...(spec.worstWork ? { worstWork: spec.worstWork } : {}),
  };
}

/** Workgroup counts for `items` one-dimensional work items, folded into y beyond 65,535 groups (the kernel undoes it). */
export function linearWorkgroups(items: number, size: number): Workgroups {
  const groups = Math.max(1, Math.ceil(items / size));
  const x = Math.min(groups, 65_535);
  return [x, Math.ceil(groups / x), 1];
}
