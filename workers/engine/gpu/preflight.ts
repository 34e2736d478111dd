/**
 * Before anything is allocated: does what a run needs fit what the adapter grants? WebGPU does not tell how much memory
 * there is, so the total is compared with an estimate that the caller may give.
 */

/** A buffer (or binding) the run will make, in bytes. */
export interface BufferNeed {
  readonly what: string;
  readonly bytes: number;
  /** Largest range of it that one dispatch binds; the whole buffer where absent. */
  readonly bindingBytes?: number;
}

export interface PreflightLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
}

export type PreflightAdvice = "smaller_model" | "smaller_batch" | "other_adapter";

/** One need that is not met. Texts for people are made from `what`, the two numbers and the advice. */
export interface PreflightProblem {
  readonly what: string;
  readonly kind: "buffer" | "binding" | "total";
  /** Bytes. */
  readonly needed: number;
  /** Bytes. */
  readonly granted: number;
  readonly advice: readonly PreflightAdvice[];
}

export interface PreflightOptions {
  /** Bytes the whole run may use, where known (navigator.deviceMemory, the system's memory). */
  readonly availableBytes?: number;
  /** Whether a buffer grows with the batch: decides the advice. Default: no. */
  readonly growsWithBatch?: (need: BufferNeed) => boolean;
}

/**
 * Every need above a limit, worst first; empty when the run fits.
 * @param needs all buffers of the run; @param limits `Gpu.limits` or an adapter's.
 */
export function preflight(
  needs: readonly BufferNeed[],
  limits: PreflightLimits,
  options: PreflightOptions = {},
): PreflightProblem[] {
  const problems: PreflightProblem[] = [];
  for (const need of needs) {
    const advice: PreflightAdvice[] = [
      options.growsWithBatch?.(need) ? "smaller_batch" : "smaller_model",
      "other_adapter",
    ];
    const binding = need.bindingBytes ?? need.bytes;
    if (!(need.bytes <= limits.maxBufferSize))
      problems.push({ what: need.what, kind: "buffer", needed: need.bytes, granted: limits.maxBufferSize, advice });
    if (!(binding <= limits.maxStorageBufferBindingSize))
      problems.push({
        what: need.what,
        kind: "binding",
        needed: binding,
        granted: limits.maxStorageBufferBindingSize,
        advice,
      });
  }
  const total = needs.reduce((sum, need) => sum + need.bytes, 0);
  if (options.availableBytes !== undefined && !(total <= options.availableBytes))
    problems.push({
      what: "total",
      kind: "total",
      needed: total,
      granted: options.availableBytes,
      advice: ["smaller_batch", "smaller_model"],
    });
  return problems.sort((a, b) => b.needed / b.granted - a.needed / a.granted);
}
