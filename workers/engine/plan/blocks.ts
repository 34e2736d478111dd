/** What a schedule needs of the arena: the blocks, their lives and which of them must lie apart. Pure, before any memory. */

import type { Block } from "./memory";
import type { Schedule } from "./schedule";
import { ELEMENT_BYTES, type Resource } from "./steps";

/** Bindings cover whole vec4s, so that kernels may read tails as vectors. */
export const VECTOR_BYTES = 16;

export const bindingBytes = (elements: number, bytes: number): number =>
  Math.max(1, Math.ceil((elements * bytes) / VECTOR_BYTES)) * VECTOR_BYTES;

/** The arena's resources, and a block for each. */
export function arenaBlocks({ steps, outputs }: Schedule): {
  readonly resources: readonly Resource[];
  readonly blocks: readonly Block[];
} {
  const lives = new Map<Resource, { first: number; last: number }>();
  steps.forEach((step, index) => {
    for (const { resource } of Object.values(step.bindings)) {
      if (resource.kind !== "arena") continue;
      const life = lives.get(resource) ?? { first: index, last: index };
      life.last = index;
      lives.set(resource, life);
    }
  });
  for (const resource of outputs.values()) {
    const life = lives.get(resource);
    if (life) life.last = steps.length;
  }
  const resources = [...lives.keys()];
  const indices = new Map(resources.map((resource, index) => [resource, index]));
  const apart = resources.map(() => new Set<number>());
  const link = (a: number | undefined, b: number | undefined) => {
    if (a === undefined || b === undefined || a === b) return;
    apart[a]?.add(b);
    apart[b]?.add(a);
  };
  for (const step of steps) {
    const bindings = Object.values(step.bindings);
    for (const written of bindings.filter((binding) => binding.access === "read_write"))
      for (const read of bindings.filter((binding) => binding.access === "read"))
        link(indices.get(written.resource), indices.get(read.resource));
  }
  const blocks = resources.map((resource, index) => {
    const { first, last } = lives.get(resource) ?? { first: 0, last: steps.length };
    const bytes = bindingBytes(resource.elements, ELEMENT_BYTES[resource.type]);
    return { label: resource.name, bytes, first, last, apart: apart[index] ?? new Set<number>() };
  });
  return { resources, blocks };
}
