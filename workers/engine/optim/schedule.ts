/** Learning-rate schedules, as transformers.get_scheduler computes them. */

import type { LrSchedulerType } from "../../../src/shared/protocol/config";

export interface ScheduleOptions {
  readonly type: LrSchedulerType;
  /** The peak. */
  readonly learning_rate: number;
  /** Optimizer steps with a rising rate; the very first step has rate 0 then, as in transformers. */
  readonly warmup_steps: number;
  readonly total_steps: number;
}

/** TrainingArguments.get_warmup_steps: ceil(ratio * total). */
export function warmupSteps(ratio: number, total_steps: number): number {
  return Math.ceil(ratio * total_steps);
}

/**
 * The learning rate of the step after `step` steps (0, 1, 2, ...). Linear and cosine reach 0 at `total_steps`; constant
 * stays at the peak after the warm-up.
 */
export function learningRate(options: ScheduleOptions, step: number): number {
  const { type, learning_rate, warmup_steps, total_steps } = options;
  if (step < warmup_steps) return (learning_rate * step) / Math.max(1, warmup_steps);
  if (type === "constant") return learning_rate;
  const length = Math.max(1, total_steps - warmup_steps);
  if (type === "linear") return learning_rate * Math.max(0, (total_steps - step) / length);
  // Half a cosine wave: num_cycles 0.5.
  const progress = (step - warmup_steps) / length;
  return learning_rate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * 2 * 0.5 * progress)));
}
