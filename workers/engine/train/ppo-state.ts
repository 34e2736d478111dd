/** What a PPO checkpoint holds beside the adapter, the value head and their moments. */
import { z } from "zod";
import { runningMoments } from "./rl/scores";
import { cursorState } from "./sampler";
import { stageState } from "./state";

export const ppoState = stageState({
  /** Where the order of the prompts stands. */
  prompts: cursorState,
  kl_coef: z.number().min(0),
  /** The number itself, also where it was measured. */
  reward_baseline: z.number(),
  /** Of all rewards so far. */
  rewards: runningMoments,
});
export type PpoState = z.infer<typeof ppoState>;
