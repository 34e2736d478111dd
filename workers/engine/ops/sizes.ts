/** Small helpers for declaring steps: products of sizes, and the choice between a kernel's widths. */

import type { VectorKernel } from "../kernels/vector";
import { type Dims, type HostTensors, resolveSize, type Size, type Step } from "./define";

/** The product of sizes, as a size. */
export function product(...sizes: readonly Size[]): (dims: Dims) => number {
  return (dims) => sizes.reduce<number>((value, size) => value * resolveSize(size, dims), 1);
}

/** The vec4 width where 4 divides every one of `sizes`, else the scalar one. */
export function byWidth(
  kernel: VectorKernel,
  sizes: readonly Size[],
  overrides: Readonly<Record<string, number>> = {},
): Step["choose"] {
  return (dims) => ({
    kernel: sizes.every((size) => resolveSize(size, dims) % 4 === 0) ? kernel.vec4 : kernel.scalar,
    overrides,
  });
}

/** A tensor of a reference's inputs. @throws Error where it is missing. */
export function tensor(tensors: HostTensors, name: string): Float64Array {
  const value = tensors[name];
  if (value === undefined) throw new Error(`reference: no tensor "${name}"`);
  return value;
}

/** A dim or attribute. @throws Error where it is missing. */
export function size(dims: Dims, name: string): number {
  return resolveSize(name, dims);
}

/** Element i of an array; 0 beyond its end never happens in a correct reference, so it throws. */
export function at(values: Float64Array, i: number): number {
  const value = values[i];
  if (value === undefined) throw new Error(`index ${i} outside ${values.length} elements`);
  return value;
}
