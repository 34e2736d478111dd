/** How well a language model predicts texts. */
import type { Metrics } from "../../../src/shared/protocol/events";
import { countTargets } from "./batch";
import type { DeviceGuard } from "./guard";
import type { PackedBatch, Trainer } from "./trainer";

/** Enough to keep the GPU busy while the next batch is laid out. */
const FORWARDS_IN_FLIGHT = 3;

/** Mean loss in nats over all counted tokens of the batches, whatever their sizes. Rejects with gpu.lost. */
export async function meanLoss(
  trainer: Pick<Trainer, "forward">,
  guard: DeviceGuard,
  batches: readonly PackedBatch[],
): Promise<number> {
  /** By batch, so that the order in which they arrive does not matter. */
  const sums = new Float64Array(batches.length);
  let tokens = 0;
  const inFlight: Promise<void>[] = [];
  for (const [index, batch] of batches.entries()) {
    const count = countTargets(batch);
    tokens += count;
    const add = async () => {
      const { loss } = await trainer.forward(batch);
      sums[index] = count * (loss ?? Number.NaN);
    };
    const work = guard.wait(add());
    // Seen below; a rejection must not count as unhandled while an earlier one is awaited.
    work.catch(() => undefined);
    inFlight.push(work);
    if (inFlight.length >= FORWARDS_IN_FLIGHT) await inFlight.shift();
  }
  await Promise.all(inFlight);
  return sums.reduce((total, sum) => total + sum, 0) / tokens;
}

/** eval_loss (nats a token) and eval_perplexity; null where that is too large for a number. */
export function languageMetrics(loss: number): Metrics {
  const perplexity = Math.exp(loss);
  return { eval_loss: loss, eval_perplexity: Number.isFinite(perplexity) ? perplexity : null };
}
