/**
 * Kernels in two widths from one file. The WGSL is written over `E` (vec4f or f32) and `WIDTH` (4 or 1); `total(v)` adds
 * up one E, `narrow(v, e)` is the E that begins at component e of a vec4f. With an element alias WEIGHT, `WEIGHTS` is an E stored as it. Wide loads are worth much on every adapter; the scalar width takes the sizes that 4 does not divide.
 */

import { defineKernel, type KernelDefinition, type KernelSpec, type Workgroups } from "./define";

export interface VectorKernel {
  readonly vec4: KernelDefinition;
  readonly scalar: KernelDefinition;
}

export interface VectorKernelSpec extends Omit<KernelSpec, "workgroups"> {
  readonly workgroups: (
    params: Readonly<Record<string, number>>,
    width: number,
    overrides: Readonly<Record<string, number>>,
  ) => Workgroups;
}

const VEC4 = `alias E = vec4f;
const WIDTH = 4u;
fn total(v: E) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn narrow(v: vec4f, first: u32) -> E { return v; }
`;
const SCALAR = `alias E = f32;
const WIDTH = 1u;
fn total(v: E) -> f32 { return v; }
fn narrow(v: vec4f, first: u32) -> E { return v[first]; }
`;

const VEC4_WEIGHTS = "alias WEIGHTS = vec4<WEIGHT>;\n";
const SCALAR_WEIGHTS = "alias WEIGHTS = WEIGHT;\n";

/** Declares `name` (vec4) and `name.scalar`. */
export function defineVectorKernel(spec: VectorKernelSpec): VectorKernel {
  const stored = spec.elements !== undefined && "WEIGHT" in spec.elements;
  const width = (name: string, prelude: string, lanes: number) =>
    defineKernel({
      ...spec,
      name,
      source: prelude + spec.source,
      workgroups: (params, overrides) => spec.workgroups(params, lanes, overrides),
    });
  return {
    vec4: width(spec.name, stored ? VEC4 + VEC4_WEIGHTS : VEC4, 4),
    scalar: width(`${spec.name}.scalar`, stored ? SCALAR + SCALAR_WEIGHTS : SCALAR, 1),
  };
}
