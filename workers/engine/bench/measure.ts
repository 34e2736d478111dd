/** Medians of interleaved measurements: whoever disturbs the machine meanwhile disturbs all contenders alike. */

import { median } from "../gpu/autotune";

/** One of several ways to compute the same thing. */
export interface Contender {
  readonly name: string;
  /** Sends the work of one run to the GPU; resolves when it is on its way, not when it is done. */
  enqueue(): void | Promise<void>;
  /** Resolves when everything enqueued has been computed. */
  finished(): Promise<unknown>;
}

export interface MeasureOptions {
  /** Measurements a contender, taken in turns; the median counts. */
  readonly rounds: number;
  /** Milliseconds a measurement should take: short runs are enqueued several times. Default 250. */
  readonly span?: number;
  /** Most runs of a measurement. Default 64. */
  readonly most?: number;
  /**
   * Sleep most of the expected time before waiting. For Dawn in Node, which spins a core while a promise is pending: on a
   * software adapter that core is one of those that compute.
   */
  readonly sleep: boolean;
  /** Called before every measurement; may throw to stop. */
  readonly onRound?: (round: number, contender: string) => void;
}

/** Share of the expected time to sleep: a guess that is too long would otherwise confirm itself. */
const SHARE = 0.85;
/** Milliseconds below which a timer costs more than it saves. */
const SHORT = 8;

async function timed(contender: Contender, times: number, sleep: number): Promise<number> {
  const start = performance.now();
  for (let run = 0; run < times; run++) await contender.enqueue();
  const left = sleep - (performance.now() - start);
  if (left > SHORT) await new Promise((resolve) => setTimeout(resolve, left));
  await contender.finished();
  return (performance.now() - start) / times;
}

/**
 * Milliseconds of one run of each contender, in their order. Each runs twice before: pipelines are compiled then, and the
 * second time says how many runs a measurement takes. Rejects with what a contender rejects with.
 */
export async function interleave(contenders: readonly Contender[], options: MeasureOptions): Promise<number[]> {
  const { rounds, span = 250, most = 64, sleep, onRound } = options;
  const guesses: number[] = [];
  for (const contender of contenders) {
    onRound?.(0, contender.name);
    await timed(contender, 1, 0);
    guesses.push(await timed(contender, 1, 0));
  }
  const taken: number[][] = contenders.map(() => []);
  for (let round = 1; round <= rounds; round++)
    for (const [index, contender] of contenders.entries()) {
      onRound?.(round, contender.name);
      const guess = Math.min(guesses[index] ?? 0, ...(taken[index] ?? []));
      const times = Math.max(1, Math.min(most, Math.ceil(span / Math.max(guess, 1e-3))));
      taken[index]?.push(await timed(contender, times, sleep ? SHARE * guess * times : 0));
    }
  return taken.map((values) => median(values));
}
