/** A run as it is listed and stored. */
import { z } from "zod";
import { runConfig } from "./config";
import { runState } from "./events";

export const runRecord = z.strictObject({
  run_id: z.string().min(1),
  config: runConfig,
  state: runState,
  created: z.number(),
  /** Seconds of training on the clock, pauses left out. */
  seconds: z.number().min(0),
  step: z.int().min(0),
  total_steps: z.int().min(0),
  /** Optimizer step of the newest checkpoint, null before the first. */
  checkpoint_step: z.int().min(0).nullable(),
  /** Description of the GPU adapter, empty before the run has started. */
  adapter: z.string(),
  version: z.string(),
  /** Final figures, empty before the end. */
  metrics: z.record(z.string(), z.number().nullable()),
});

export type RunRecord = z.infer<typeof runRecord>;
