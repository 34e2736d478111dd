/**
 * The studio's only source of randomness: xoshiro128** 1.1 (Blackman and Vigna, 2018; period 2^128 - 1) on four
 * 32-bit words, seeded by SplitMix32-style mixing. Same seed, same numbers, in every browser and in Node; the state is
 * plain data, so that a resumed run draws what an uninterrupted one would have drawn. Not for secrets.
 */

/** Four unsigned 32-bit words, not all zero. */
export type RandomState = readonly [number, number, number, number];

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));

export class Random {
  private constructor(private words: RandomState) {}

  /**
   * A generator from an unsigned 32-bit seed. `stream` (also 32 bits) gives independent sequences for one seed, so
   * that, say, the batches of a run do not change when its initialisation draws more numbers.
   */
  static seeded(seed: number, stream = 0): Random {
    let counter = (seed ^ Math.imul(stream, 0x85eb_ca6b)) >>> 0;
    const word = (): number => {
      counter = (counter + 0x9e37_79b9) >>> 0;
      let mixed = counter;
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    };
    // The mixing is a bijection and the counters differ, so at most one of the four words is zero.
    return new Random([word(), word(), word(), word()]);
  }

  static fromState(state: RandomState): Random {
    if (state.length !== 4 || state.every((word) => word === 0)) throw new RangeError("not a state of xoshiro128**");
    return new Random([state[0] >>> 0, state[1] >>> 0, state[2] >>> 0, state[3] >>> 0]);
  }

  /** For storage; `fromState` continues after the numbers drawn so far. */
  state(): RandomState {
    return this.words;
  }

  /** An integer in [0, 2^32). */
  uint32(): number {
    const [s0, s1, s2, s3] = this.words;
    const result = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0;
    const next2 = s2 ^ s0;
    const next3 = s3 ^ s1;
    this.words = [(s0 ^ next3) >>> 0, (s1 ^ next2) >>> 0, (next2 ^ (s1 << 9)) >>> 0, rotate(next3, 11) >>> 0];
    return result;
  }

  /** A number in [0, 1) with 53 random bits. */
  uniform(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 0x400_0000 + low) / 2 ** 53;
  }

  /** An integer in [0, limit), each equally likely; limit is at most 2^32. */
  below(limit: number): number {
    if (!(limit >= 1 && limit <= 2 ** 32)) throw new RangeError(`no integer below ${limit}`);
    // The topmost incomplete block would make small numbers likelier.
    const complete = 2 ** 32 - (2 ** 32 % limit);
    for (;;) {
      const value = this.uint32();
      if (value < complete) return value % limit;
    }
  }

  /** A draw of the standard normal distribution (Box and Muller; one of the pair, so that no value is kept back). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Puts `items` into random order in place (Fisher and Yates) and returns them. */
  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const chosen = this.below(last + 1);
      const [a, b] = [items[last], items[chosen]];
      if (a !== undefined && b !== undefined) [items[last], items[chosen]] = [b, a];
    }
    return items;
  }
}
