/** Every stage by its name. */
import { NagiError } from "../../../src/shared/errors";
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
    default:
      throw new NagiError("config.invalid", `This version has no stage ${stage.stage}. Take it out of the pipeline.`, {
        file: input.config.name,
        path: "stages",
        problem: stage.stage,
        allowed: "reward",
      });
  }
}
