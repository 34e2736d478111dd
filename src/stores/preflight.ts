/**
 * What a stage would need on this machine, asked of the training worker.
 *
 * Usage:
 *   const result = await estimateStage(config, "reward");   // rejects with gpu.*, model.*, artefact.*, config.invalid
 */
import { backend } from "../clients/backend";
import type { RunConfig } from "../shared/protocol/config";
import type { StagePreflight } from "../shared/protocol/preflight";

export type { PreflightOffer, PreflightPart, PreflightProblem, StagePreflight } from "../shared/protocol/preflight";

export function estimateStage(config: RunConfig, stage: string): Promise<StagePreflight> {
  return backend().estimateStage(config, stage);
}
