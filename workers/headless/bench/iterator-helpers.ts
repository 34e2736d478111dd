/** Node 20 lacks the two iterator helpers that jax-js' einsum uses; every browser with WebGPU has them. */

function* map<T, U>(this: Iterable<T>, change: (value: T, index: number) => U): Generator<U> {
  let index = 0;
  for (const value of this) yield change(value, index++);
}

function* filter<T>(this: Iterable<T>, keep: (value: T, index: number) => boolean): Generator<T> {
  let index = 0;
  for (const value of this) if (keep(value, index++)) yield value;
}

/** Adds them to all iterators where they are missing. */
export function addIteratorHelpers(): void {
  const prototype: unknown = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  if (typeof prototype !== "object" || prototype === null) return;
  for (const [name, value] of Object.entries({ map, filter }))
    if (!(name in prototype)) Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
}
