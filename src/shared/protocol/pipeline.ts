/** A pipeline as it is stored and as it is shown: which run each stage has, and what came of it. */
import { z } from "zod";
import type { ErrorData } from "../errors";
import { type ArtefactParent, type ArtefactRecord, sha256 } from "./artefact";
import { type RunConfig, runConfig, stageId } from "./config";
import { errorData, type RunState } from "./events";
import { type StagePlaces, stagePlaces } from "./launch";

/** On the disk. States are not stored: the runs know them. */
export const storedPipeline = z.strictObject({
  pipeline_id: z.string().min(1),
  config: runConfig,
  places: stagePlaces,
  created: z.number(),
  /** In the order of the config's stages. */
  stages: z.array(
    z.strictObject({
      id: stageId,
      /** null before the stage was begun, and after "run from here" put it back. */
      run_id: z.string().min(1).nullable(),
      artefact: sha256.nullable(),
      /** Taken over from an equal stage that had run before. */
      reused: z.boolean(),
    }),
  ),
  /** Why the pipeline could not begin its next stage; a stage's own failure is its run's. */
  error: errorData.nullable(),
});

export type StoredPipeline = z.infer<typeof storedPipeline>;
export type StoredStage = StoredPipeline["stages"][number];

/** waiting: not begun. */
export type StageState = RunState | "waiting";

/**
 * ready: nothing has run yet. running: a stage is worked on or about to be. paused: some stages are left, by a pause or
 * because the tab was closed. stopped, failed: by its current stage.
 */
export type PipelineState = "ready" | "running" | "paused" | "finished" | "stopped" | "failed";

export interface PipelineStage {
  readonly id: string;
  readonly state: StageState;
  readonly run_id: string | null;
  /** What it made; null before, and after that was deleted. */
  readonly artefact: string | null;
  /** Taken over from an equal stage that had run before. */
  readonly reused: boolean;
  readonly step: number;
  readonly total_steps: number;
}

export interface PipelineRecord {
  readonly pipeline_id: string;
  readonly name: string;
  readonly config: RunConfig;
  readonly places: StagePlaces;
  readonly created: number;
  readonly state: PipelineState;
  /** Why it failed, or was interrupted. */
  readonly error: ErrorData | null;
  /** In the order of the config's stages. */
  readonly stages: readonly PipelineStage[];
}

/** One step on the way back from an artefact. */
export interface LineageNode {
  /** An artefact's id or a reference such as `bundled:reviews-ja/train`. */
  readonly id: string;
  /** null for a reference, and for an artefact that is no longer there. */
  readonly record: ArtefactRecord | null;
  /** The configuration of the run that made it; null where that run was deleted (`record.stage` still says the rest). */
  readonly config: RunConfig | null;
  readonly parents: readonly ArtefactParent[];
}

export interface CreateOptions {
  readonly reuse: boolean;
  /** Without it everything runs in the browser. */
  readonly places?: StagePlaces | undefined;
}

export interface PipelineBackend {
  /** Newest first. */
  listPipelines(): Promise<PipelineRecord[]>;
  /**
   * Checks a configuration and stores it as a pipeline; nothing runs yet. With `reuse` the results of earlier finished
   * stages are taken over where settings, inputs, data, seed and place are equal ("re-run with changes").
   * Errors: config.invalid, worker.unknown, storage.quota.
   */
  createPipeline(config: RunConfig, options: CreateOptions): Promise<PipelineRecord>;
  /** Other places for stages; takes effect where a stage is begun. Errors: run.bad_command, run.not_found, worker.unknown. */
  placeStages(pipelineId: string, places: StagePlaces): Promise<void>;
  /**
   * Runs all stages that are not finished, one after the other; a paused or failed one goes on from its checkpoint.
   * Resolves once it is under way. Errors: run.bad_command, storage.busy (another tab works on it).
   */
  runPipeline(pipelineId: string): Promise<void>;
  /** Puts a stage and all that build on it back to the beginning and runs on. Earlier results stay as artefacts. */
  runPipelineFrom(pipelineId: string, stage: string): Promise<void>;
  /** After the step at hand and a checkpoint. Resolves when it rests. */
  pausePipeline(pipelineId: string): Promise<void>;
  /** Ends the stage at hand for good; `runPipeline` would begin that stage anew. */
  stopPipeline(pipelineId: string): Promise<void>;
  /** With its runs, as far as no other pipeline shows them; with `artefacts` also what they made and nobody else uses. */
  deletePipeline(pipelineId: string, options: { readonly artefacts: boolean }): Promise<void>;
}
