/** An offer's changes in the configuration they were computed for. */
import { type RunConfig, stageConfig } from "../../shared/protocol/config";
import type { PreflightOffer } from "../../stores/preflight";

export function withSettings(config: RunConfig, stageId: string, changes: PreflightOffer["changes"]): RunConfig {
  const stages = config.stages.map((stage) =>
    stage.id === stageId ? stageConfig.parse({ ...stage, ...changes }) : stage,
  );
  return { ...config, stages };
}
