/** The random numbers of a run: one seed, and a stream for each use, so that one choice does not shift another. */
import { Random } from "../../../src/shared/stats/random";

const STREAMS = { score: 1, weights: 2, order: 3, rejected: 4, pairs: 5, threshold: 6 } as const;

/** A fresh generator at the start of one stream of a run's seed. */
export const stream = (seed: number, which: keyof typeof STREAMS): Random => Random.seeded(seed, STREAMS[which]);
