/** Work of an optimizer step (PPO: of an update), in floating-point operations, from the plans that it replays. */
import type { StageConfig } from "../../../src/shared/protocol/config";
import type { Dispatch } from "../gpu/gpu";

/** One run of the largest plan: a trainer's step, a scorer's forward pass, a generator's token for every text. */
export interface CountedWork {
  readonly flops: number;
  /** The plan takes so many. */
  readonly tokens: number;
}

/** A forward pass is about a third of a training step: the backward pass makes two products for each of its own. */
const FORWARD = 1 / 3;

export const sumWork = (dispatches: readonly Dispatch[]): number =>
  dispatches.reduce((sum, { flops }) => sum + flops, 0);

/**
 * The most a step may take: every text as long as the settings allow. null: a stage without steps.
 * @param needs what the stage creates, in its order
 */
export function stepFlops(
  stage: StageConfig,
  needs: readonly (CountedWork & { readonly kind: "trainer" | "generator" | "reward_model" })[],
): number | null {
  const trainer = needs.find(({ kind }) => kind === "trainer");
  if (trainer === undefined) return null;
  const plans = (tokens: number, of: CountedWork) => Math.ceil(tokens / of.tokens) * of.flops;
  switch (stage.stage) {
    case "merge":
    case "evaluate":
      return null;
    case "ppo": {
      const generator = needs.find(({ kind }) => kind === "generator");
      const scorer = needs.find(({ kind }) => kind === "reward_model");
      const tokens = stage.rollout_batch_size * (promptTokens(stage.prompt.length) + stage.response_length);
      const train = plans(tokens, trainer);
      return (
        stage.num_ppo_epochs * train +
        // The policy and the reference are each asked once.
        2 * FORWARD * train +
        stage.response_length * (generator?.flops ?? 0) +
        (scorer === undefined ? 0 : plans(tokens, scorer))
      );
    }
    case "sft":
    case "reward":
    case "dpo": {
      const pairs = stage.stage === "dpo" || (stage.stage === "reward" && stage.objective === "pairwise");
      const tokens = (pairs ? 2 : 1) * stage.per_device_train_batch_size * stage.max_length;
      return stage.gradient_accumulation_steps * plans(tokens, trainer);
    }
  }
}

/** One a character at most: see stage-needs.ts. */
const promptTokens = (length: number): number => length;
