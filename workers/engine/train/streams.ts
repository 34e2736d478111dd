/** The random numbers of a run: one seed, and a stream for each use, so that one choice does not shift another. */
import { Random } from "../../../src/shared/stats/random";

const STREAMS = {
  score: 1,
  weights: 2,
  order: 3,
  rejected: 4,
  pairs: 5,
  threshold: 6,
  prompts: 7,
  rollout: 8,
  minibatches: 9,
  samples: 10,
  baseline: 11,
} as const;

/** A fresh generator at the start of one stream of a run's seed. */
export const stream = (seed: number, which: keyof typeof STREAMS): Random => Random.seeded(seed, STREAMS[which]);

/**
 * A 32-bit seed for the n-th use of a stream: the same number whatever was drawn before, so that nothing has to be stored
 * for a resumed run to draw it again.
 */
export const seedOf = (seed: number, which: keyof typeof STREAMS, n: number): number =>
  Random.seeded(stream(seed, which).uint32(), n).uint32();
