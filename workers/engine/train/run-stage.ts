/** Every stage by its name. */
import { runDpoStage } from "./dpo";
import { runEvaluateStage } from "./evaluate-stage";
import { runMergeStage } from "./merge-stage";
import { runPpoStage } from "./ppo";
import { runRewardStage } from "./reward";
import { runSftStage } from "./sft";
import type { StageInput, StageOutcome } from "./stage";

/** Runs whatever stage the input asks for: see the stage's own function. */
export async function runStage(input: StageInput): Promise<StageOutcome> {
  const { stage } = input;
  switch (stage.stage) {
    case "sft":
      return runSftStage({ ...input, stage });
    case "reward":
      return runRewardStage({ ...input, stage });
    case "ppo":
      return runPpoStage({ ...input, stage });
    case "dpo":
      return runDpoStage({ ...input, stage });
    case "merge":
      return runMergeStage({ ...input, stage });
    case "evaluate":
      return runEvaluateStage({ ...input, stage });
  }
}
