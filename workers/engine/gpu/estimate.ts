/**
 * How long dispatches take, estimated from their FLOPs and bytes alone, and where a list is cut into submits. A GPU is busy
 * for as long as a submit runs: the screen freezes, and some systems reset a GPU that does not answer.
 */

import type { Dispatch } from "./dispatch";

/** What a GPU does in a second. */
export interface GpuSpeed {
  readonly flops: number;
  readonly bytes: number;
}

type Load = Pick<Dispatch, "worstFlops" | "bytes">;

/** The slowest kind of GPU that submits are made for: an integrated one. */
export const INTEGRATED_GPU: GpuSpeed = { flops: 1e12, bytes: 60e9 };
/** lavapipe or SwiftShader on a few cores. */
export const SOFTWARE_GPU: GpuSpeed = { flops: 20e9, bytes: 10e9 };

/** Longest submit by the estimate, in seconds. A fifth of half a second: kernels do not reach a GPU's full rate. */
export const SUBMIT_SECONDS = 0.1;
/** Software adapters freeze no screen, and every submit costs them. */
export const SOFTWARE_SUBMIT_SECONDS = 0.4;

/** Seconds of one dispatch: whichever is longer, computing or moving data. */
export const dispatchSeconds = ({ worstFlops, bytes }: Load, speed: GpuSpeed): number =>
  Math.max(worstFlops / speed.flops, bytes / speed.bytes);

/** Seconds of a list. */
export const totalSeconds = (dispatches: readonly Load[], speed: GpuSpeed): number =>
  dispatches.reduce((sum, dispatch) => sum + dispatchSeconds(dispatch, speed), 0);

/** The lists that are submitted one after another, in order: each within the budget, unless one dispatch alone is not. */
export function splitSubmits<T extends Load>(dispatches: readonly T[], cpu: boolean): T[][] {
  const [speed, budget] = cpu ? [SOFTWARE_GPU, SOFTWARE_SUBMIT_SECONDS] : [INTEGRATED_GPU, SUBMIT_SECONDS];
  const lists: T[][] = [];
  let seconds = Number.POSITIVE_INFINITY;
  for (const dispatch of dispatches) {
    const own = dispatchSeconds(dispatch, speed);
    seconds += own;
    if (seconds > budget) {
      lists.push([]);
      seconds = own;
    }
    lists.at(-1)?.push(dispatch);
  }
  return lists;
}
