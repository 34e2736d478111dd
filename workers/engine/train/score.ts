/** Texts to rewards through a trainer's forward pass. The texts are packed as tightly as the trainer's plans allow. */
import type { RewardObjective } from "../../../src/shared/protocol/config";
import { packTexts } from "../data/batches";
import { LABELS } from "../model/heads";
import type { DeviceGuard } from "./guard";
import type { BatchLimits } from "./sampler";
import type { Trainer } from "./trainer";

/** Enough to keep the GPU busy while the next batch is packed. */
const FORWARDS_IN_FLIGHT = 3;

export interface RewardReader {
  readonly trainer: Pick<Trainer, "forward">;
  readonly guard: DeviceGuard;
  readonly objective: RewardObjective;
  readonly limits: BatchLimits;
}

/** Consecutive runs of texts that fit a plan: [first, end) of each. */
export function fittingRuns(lengths: readonly number[], limits: BatchLimits, even: boolean): [number, number][] {
  // A pairwise plan takes texts two by two; the copy that makes them even takes room too.
  const most = even ? limits.max_texts - (limits.max_texts % 2) : limits.max_texts;
  const runs: [number, number][] = [];
  let first = 0;
  let tokens = 0;
  for (const [index, length] of lengths.entries()) {
    const spare = even ? Math.max(length, lengths[first] ?? 0) : 0;
    if (index > first && (index - first >= most || tokens + length + spare > limits.max_tokens)) {
      runs.push([first, index]);
      first = index;
      tokens = 0;
    }
    tokens += length;
  }
  if (first < lengths.length) runs.push([first, lengths.length]);
  return runs;
}

/**
 * The rewards of texts (token ids, EOS included, each at most the trainer's max_tokens): the logit, or
 * logit[1] - logit[0] for cross-entropy. Rejects with gpu.lost.
 */
export async function readRewards(reader: RewardReader, texts: readonly Int32Array[]): Promise<Float64Array> {
  const { trainer, guard, objective, limits } = reader;
  const width = LABELS[objective];
  const rewards = new Float64Array(texts.length);
  const runs = fittingRuns(
    texts.map((ids) => ids.length),
    limits,
    objective === "pairwise",
  );
  const inFlight: Promise<void>[] = [];
  for (const [first, end] of runs) {
    const some = texts.slice(first, end);
    const [copy] = some;
    if (objective === "pairwise" && some.length % 2 !== 0 && copy) some.push(copy);
    const store = async () => {
      const { scores } = await trainer.forward(packTexts(some));
      if (!scores) throw new Error("a reward trainer gives scores");
      for (let index = first; index < end; index++) {
        const at = width * (index - first);
        const last = scores[at + width - 1] ?? Number.NaN;
        rewards[index] = width === 1 ? last : last - (scores[at] ?? Number.NaN);
      }
    };
    const work = guard.wait(store());
    // Seen below; a rejection must not count as unhandled while an earlier one is awaited.
    work.catch(() => undefined);
    inFlight.push(work);
    if (inFlight.length >= FORWARDS_IN_FLIGHT) await inFlight.shift();
  }
  await Promise.all(inFlight);
  return rewards;
}
