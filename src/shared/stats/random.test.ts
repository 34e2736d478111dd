import { describe, expect, it } from "vitest";
import { Random, type RandomState } from "./random";

describe("xoshiro128**", () => {
  it("gives the reference sequence", () => {
    // First outputs of the authors' C code for the state {1, 2, 3, 4}.
    const random = Random.fromState([1, 2, 3, 4]);
    expect([random.uint32(), random.uint32(), random.uint32(), random.uint32()]).toEqual([11520, 0, 5927040, 70819200]);
  });

  it("continues from its state, through JSON", () => {
    const random = Random.seeded(7);
    for (let i = 0; i < 100; i++) random.uint32();
    const state: RandomState = JSON.parse(JSON.stringify(random.state()));
    const copy = Random.fromState(state);
    for (let i = 0; i < 1000; i++) expect(copy.uint32()).toBe(random.uint32());
  });

  it("differs by seed and by stream", () => {
    const first = new Set<number>();
    for (let seed = 0; seed < 500; seed++) {
      for (const stream of [0, 1]) first.add(Random.seeded(seed, stream).uint32());
    }
    expect(first.size).toBe(1000);
  });

  it("refuses a state it can never have", () => {
    expect(() => Random.fromState([0, 0, 0, 0])).toThrow(RangeError);
  });
});

describe("draws", () => {
  it("below() is even: chi-squared over 7 values, 6 degrees of freedom", () => {
    const random = Random.seeded(1);
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 70_000; i++) {
      const value = random.below(7);
      counts[value] = (counts[value] ?? 0) + 1;
    }
    const chi = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    expect(chi).toBeLessThan(22.5); // p = 0.001
    expect(random.below(1)).toBe(0);
    expect(random.below(2 ** 32)).toBeLessThan(2 ** 32);
    expect(() => random.below(0)).toThrow(RangeError);
  });

  it("uniform() lies in [0, 1), mean 1/2; normal() has mean 0 and deviation 1", () => {
    const random = Random.seeded(2);
    let [sum, normals, squares] = [0, 0, 0];
    const count = 50_000;
    for (let i = 0; i < count; i++) {
      const value = random.uniform();
      expect(value >= 0 && value < 1).toBe(true);
      sum += value;
      const draw = random.normal();
      normals += draw;
      squares += draw * draw;
    }
    expect(Math.abs(sum / count - 0.5)).toBeLessThan(0.006);
    expect(Math.abs(normals / count)).toBeLessThan(0.02);
    expect(Math.abs(squares / count - 1)).toBeLessThan(0.03);
  });

  it("shuffle() keeps the items and reaches all orders of three about equally", () => {
    const random = Random.seeded(3);
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const order = random.shuffle([0, 1, 2]).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120);
    expect(random.shuffle([])).toEqual([]);
  });
});
