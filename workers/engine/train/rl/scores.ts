/** What becomes of a reward model's scores before they are rewards: baseline, running scale, clipping, EOS penalty. */

import { z } from "zod";
import { mean, sum } from "./ragged";

export const runningMoments = z.strictObject({
  count: z.number().min(0),
  mean: z.number(),
  /** Of all numbers so far, count below the line. */
  variance: z.number().min(0),
});
/** Mean and variance of all numbers seen so far; plain data. */
export type RunningMoments = z.infer<typeof runningMoments>;

export const NO_MOMENTS: RunningMoments = { count: 0, mean: 0, variance: 0 };

/** The moments with a batch more (Chan et al.: exact, no matter how the numbers are cut into batches). */
export function withBatch(moments: RunningMoments, batch: ArrayLike<number>): RunningMoments {
  const added = batch.length;
  if (added === 0) return moments;
  const center = mean(batch);
  const spread = sum(Float64Array.from(batch, (value) => (value - center) ** 2));
  const count = moments.count + added;
  const delta = center - moments.mean;
  const total = moments.variance * moments.count + spread + (delta ** 2 * moments.count * added) / count;
  return { count, mean: moments.mean + (delta * added) / count, variance: total / count };
}

/** Standard deviation with count - 1 below the line; null before the numbers differ. */
export function standardDeviation({ count, variance }: RunningMoments): number | null {
  return count > 1 && variance > 0 ? Math.sqrt((variance * count) / (count - 1)) : null;
}

export interface ScoreShape {
  /** Subtracted first. */
  readonly reward_baseline: number;
  /** Divided by; null: not. */
  readonly scale: number | null;
  /** Cut to ± this; 0: not. */
  readonly reward_clip: number;
  /** Subtracted last, from texts that do not end; null: not. */
  readonly missing_eos_penalty: number | null;
}

/** The scores PPO optimises. @param finished whether each text ended with EOS. */
export function shapeScores(
  scores: ArrayLike<number>,
  finished: readonly boolean[],
  { reward_baseline, scale, reward_clip, missing_eos_penalty }: ScoreShape,
): Float64Array {
  return Float64Array.from(scores, (score, i) => {
    const scaled = (score - reward_baseline) / (scale ?? 1);
    const cut = reward_clip > 0 ? Math.min(reward_clip, Math.max(-reward_clip, scaled)) : scaled;
    return finished[i] ? cut : cut - (missing_eos_penalty ?? 0);
  });
}
