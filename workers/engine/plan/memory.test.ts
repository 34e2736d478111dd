import { describe, expect, it } from "vitest";
import { ALIGN, type Block, fitsInto, type Layout, layOut } from "./memory";

/** A small generator with a fixed seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Blocks as a random graph would need them: each step writes one new block and reads some that are alive. */
function randomBlocks(random: () => number, steps: number): Block[] {
  const blocks: { label: string; bytes: number; first: number; last: number; apart: Set<number> }[] = [];
  for (let step = 0; step < steps; step++) {
    const reads = new Set<number>();
    for (let i = 0; i < 3 && step > 0; i++) {
      // Mostly recent ones, sometimes an old one that then lives long.
      const back = random() < 0.8 ? 1 + Math.floor(random() * Math.min(4, step)) : 1 + Math.floor(random() * step);
      reads.add(step - back);
    }
    const apart = new Set(reads);
    for (const read of reads) {
      const block = blocks[read];
      if (!block) throw new Error("read of an unknown block");
      block.last = step;
      block.apart.add(step);
    }
    blocks.push({ label: `b${step}`, bytes: 1 + Math.floor(random() * 5000), first: step, last: step, apart });
  }
  return blocks;
}

function expectSound(blocks: readonly Block[], layout: Layout, bankLimit = Infinity): void {
  blocks.forEach((a, i) => {
    const place = layout.placements[i];
    if (!place) throw new Error(`block ${i} is not placed`);
    expect(place.offset % ALIGN).toBe(0);
    expect(place.offset + a.bytes).toBeLessThanOrEqual(layout.banks[place.bank] ?? 0);
    expect(layout.banks[place.bank] ?? 0).toBeLessThanOrEqual(bankLimit);
    blocks.forEach((b, j) => {
      const other = layout.placements[j];
      if (i === j || !other || other.bank !== place.bank) return;
      if (a.apart.has(j)) throw new Error(`${a.label} and ${b.label} are in one bank`);
      const together = a.first <= b.last && b.first <= a.last;
      const overlap = place.offset < other.offset + b.bytes && other.offset < place.offset + a.bytes;
      if (together && overlap) throw new Error(`${a.label} and ${b.label} overlap while both live`);
    });
  });
}

describe("memory layout", () => {
  it("keeps live tensors of random graphs apart, in offsets and in banks", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = randomNumbers(seed);
      const blocks = randomBlocks(random, 3 + Math.floor(random() * 80));
      expectSound(blocks, layOut(blocks));
      expectSound(blocks, layOut(blocks, [3000, 0, 40_000]));
    }
  });

  it("respects the largest bank", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const blocks = randomBlocks(randomNumbers(seed), 60);
      expectSound(blocks, layOut(blocks, [], 8192), 8192);
    }
    expect(() => layOut([{ label: "big", bytes: 9000, first: 0, last: 1, apart: new Set() }], [], 8192)).toThrow(/big/);
  });

  it("reuses memory of dead blocks", () => {
    const blocks = Array.from({ length: 40 }, (_, i) => ({
      label: `b${i}`,
      bytes: 4096,
      first: i,
      last: i + 1,
      apart: new Set([i - 1, i + 1].filter((n) => n >= 0 && n < 40)),
    }));
    const layout = layOut(blocks);
    expectSound(blocks, layout);
    expect(layout.banks.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(3 * 4096);
  });

  it("recognises a smaller batch of the same graph, for which the placements of the largest still hold", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const blocks = randomBlocks(randomNumbers(seed), 50);
      const small = blocks.map((block) => ({ ...block, bytes: Math.ceil(block.bytes / 3) }));
      expect(fitsInto(small, blocks)).toBe(true);
      expectSound(small, layOut(blocks));
      expect(fitsInto(blocks, small)).toBe(false);
      expect(fitsInto(small.slice(1), blocks)).toBe(false);
      expect(
        fitsInto([...small.slice(0, 49), { label: "x", bytes: 1, first: 49, last: 99, apart: new Set() }], blocks),
      ).toBe(false);
    }
  });
});
