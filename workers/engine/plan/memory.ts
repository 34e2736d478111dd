/**
 * Where activations lie: every block gets a bank (one GPU buffer) and an offset so that no two blocks that live at the
 * same time overlap, and so that no dispatch reads one block and writes another of the same bank: WebGPU allows a buffer
 * only one kind of use in a dispatch. All lifetimes are known, so the largest blocks are placed first.
 */

export interface Block {
  readonly label: string;
  /** Bytes, above 0. */
  readonly bytes: number;
  /** Index of the first and of the last step that uses it. */
  readonly first: number;
  readonly last: number;
  /** Indices of blocks that may not share its bank. Symmetric. */
  readonly apart: ReadonlySet<number>;
}

export interface Placement {
  readonly bank: number;
  /** Bytes, a multiple of ALIGN. */
  readonly offset: number;
}

export interface Layout {
  /** One for each block, in their order. */
  readonly placements: readonly Placement[];
  /** Bytes of each bank. */
  readonly banks: readonly number[];
}

/** Binding offsets are multiples of this on every adapter. */
export const ALIGN = 256;

export const alignUp = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN;

/**
 * Places the blocks.
 * @param capacities bytes of banks that exist already: used up before anything grows.
 * @param bankLimit largest bank, in bytes.
 * @throws Error where one block alone is larger than `bankLimit`.
 */
export function layOut(blocks: readonly Block[], capacities: readonly number[] = [], bankLimit = Infinity): Layout {
  const banks: number[] = capacities.map(() => 0);
  const placed: (Placement | undefined)[] = blocks.map(() => undefined);
  /** What each bank holds so far. */
  const tenants: Tenant[][] = capacities.map(() => []);
  const order = blocks.map((_, index) => index);
  order.sort((a, b) => size(blocks, b) - size(blocks, a) || a - b);
  for (const index of order) {
    const block = at(blocks, index);
    if (block.bytes > bankLimit)
      throw new Error(`"${block.label}" needs ${block.bytes} bytes, a buffer has ${bankLimit}`);
    let best: (Placement & { growth: number }) | undefined;
    for (let bank = 0; bank <= banks.length; bank++) {
      const offset = findOffset(block, tenants[bank] ?? []);
      if (offset === undefined || offset + block.bytes > bankLimit) continue;
      const end = alignUp(offset + block.bytes);
      const growth = Math.max(0, end - Math.max(banks[bank] ?? 0, capacities[bank] ?? 0));
      if (!best || growth < best.growth) best = { bank, offset, growth };
    }
    if (!best) throw new Error(`no place for "${block.label}"`);
    placed[index] = { bank: best.bank, offset: best.offset };
    const tenant = { index, block, start: best.offset, end: best.offset + alignUp(block.bytes) };
    const others = tenants[best.bank];
    if (others) others.push(tenant);
    else tenants[best.bank] = [tenant];
    banks[best.bank] = Math.max(banks[best.bank] ?? 0, alignUp(best.offset + block.bytes));
  }
  return { placements: blocks.map((_, index) => at(placed, index)), banks };
}

/** True where the placements found for `known` also serve `blocks`: the same lives and conflicts, and nothing larger. */
export function fitsInto(blocks: readonly Block[], known: readonly Block[]): boolean {
  return (
    blocks.length === known.length &&
    blocks.every((block, index) => {
      const other = at(known, index);
      return (
        block.bytes <= other.bytes &&
        block.first === other.first &&
        block.last === other.last &&
        block.apart.size === other.apart.size &&
        [...block.apart].every((neighbour) => other.apart.has(neighbour))
      );
    })
  );
}

/** A block that has its place in a bank. */
interface Tenant {
  readonly index: number;
  readonly block: Block;
  readonly start: number;
  readonly end: number;
}

/** The lowest offset in the bank that is free during the whole life of the block; undefined if the bank is forbidden. */
function findOffset({ apart, first, last, bytes }: Block, tenants: readonly Tenant[]): number | undefined {
  if (apart.size > 0 && tenants.some(({ index }) => apart.has(index))) return undefined;
  const taken = tenants.filter(({ block }) => block.first <= last && first <= block.last);
  taken.sort((a, b) => a.start - b.start);
  let offset = 0;
  for (const { start, end } of taken) {
    if (start - offset >= bytes) break;
    offset = Math.max(offset, end);
  }
  return offset;
}

/** The entry, which must exist. */
export function at<T>(list: readonly (T | undefined)[], index: number): T {
  const value = list[index];
  if (value === undefined) throw new Error(`no entry ${index}`);
  return value;
}

const size = (blocks: readonly Block[], index: number): number => at(blocks, index).bytes;
