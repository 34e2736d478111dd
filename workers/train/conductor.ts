/**
 * One pipeline while it is worked on: begins stage after stage, each with what the earlier ones made, until all are
 * finished, one of them is not, or somebody pauses it. What it decides is on the disk before it acts on it, so that a
 * tab that dies at any point leaves a pipeline that goes on from there.
 */

import { type ErrorData, NagiError, toErrorData } from "../../src/shared/errors";
import type { RunConfig, StageConfig } from "../../src/shared/protocol/config";
import type { StoredPipeline, StoredStage } from "../../src/shared/protocol/pipeline";
import { inputsOf } from "../../src/shared/protocol/pipeline-inputs";
import { slotsOf } from "../../src/shared/protocol/pipeline-slots";
import type { RunRecord } from "../../src/shared/protocol/run";
import type { ArtefactStore } from "./artefact-store";
import { newRunId, type Runs } from "./runs";

export interface ConductorTools {
  readonly runs: Pick<Runs, "find" | "rest" | "resume" | "pause" | "stop" | "startStage">;
  readonly artefacts: Pick<ArtefactStore, "find">;
  /** Stores the pipeline and makes it known. @throws storage.quota */
  readonly save: (pipeline: StoredPipeline) => Promise<void>;
}

export class Conductor {
  /** Settles, without ever rejecting, when the pipeline rests. */
  readonly done: Promise<void>;
  #pipeline: StoredPipeline;
  #wanted: "run" | "pause" | "stop" = "run";
  /** Run that is worked on. */
  #current: string | null = null;

  constructor(
    pipeline: StoredPipeline,
    private readonly tools: ConductorTools,
  ) {
    this.#pipeline = pipeline;
    this.done = this.#conduct();
  }

  get pipeline(): StoredPipeline {
    return this.#pipeline;
  }

  /** Takes effect after the step at hand; a stage that is about to begin does so and is told at once. */
  async request(wanted: "pause" | "stop"): Promise<void> {
    if (this.#wanted !== "stop") this.#wanted = wanted;
    await this.#tell();
    await this.done;
  }

  async #conduct(): Promise<void> {
    try {
      await this.#change({ error: null });
      await this.#putBack();
      for (const stage of this.#pipeline.config.stages) {
        if (this.#wanted !== "run") return;
        if (await this.#isDone(stage)) continue;
        const run = await this.#work(stage);
        if (run.state !== "finished") return;
        if (run.artefact === null)
          throw new NagiError("internal", `the stage ${stage.id} has made nothing`, { message: stage.id });
        await this.#set(stage.id, { artefact: run.artefact });
      }
    } catch (error) {
      await this.#fail(toErrorData(error));
    }
  }

  async #fail(error: ErrorData): Promise<void> {
    try {
      await this.#change({ error });
    } catch (unsaved) {
      // The disk is full: the reason is on the screen for as long as this tab lives.
      this.#pipeline = { ...this.#pipeline, error };
      console.error(`the pipeline ${this.#pipeline.pipeline_id} could not be stored`, unsaved);
    }
  }

  /** Finished stages whose result was deleted and is needed again run again. */
  async #putBack(): Promise<void> {
    const todo = new Set<string>();
    for (const stage of this.#pipeline.config.stages.toReversed()) {
      const needed = this.#pipeline.config.stages.some(
        (later) => todo.has(later.id) && slotsOf(later).some(({ value }) => value === stage.id),
      );
      const done = await this.#isDone(stage);
      if (done && needed && !(await this.#has(this.#entry(stage.id).artefact)))
        await this.#set(stage.id, { run_id: null, artefact: null, reused: false });
      if (!(await this.#isDone(stage))) todo.add(stage.id);
    }
  }

  async #isDone(stage: StageConfig): Promise<boolean> {
    const { run_id, artefact } = this.#entry(stage.id);
    if (artefact !== null) return true;
    if (run_id === null) return false;
    const run = await this.tools.runs.find(run_id);
    if (run?.state !== "finished" || run.artefact === null) return false;
    // The tab died between the end of the run and the pipeline's note of it.
    await this.#set(stage.id, { artefact: run.artefact });
    return true;
  }

  /** Begins the stage or goes on with it; resolves with its record when it rests. */
  async #work(stage: StageConfig): Promise<RunRecord> {
    const { runs } = this.tools;
    const { run_id } = this.#entry(stage.id);
    const earlier = run_id === null ? null : await runs.find(run_id);
    if (earlier !== null && (earlier.state === "paused" || earlier.state === "failed"))
      await runs.resume(earlier.run_id);
    else if (earlier === null || earlier.state === "stopped" || earlier.state === "finished") await this.#begin(stage);
    const current = this.#entry(stage.id).run_id;
    if (current === null) throw new NagiError("internal", "a stage that was begun has a run", { message: stage.id });
    this.#current = current;
    try {
      await this.#tell();
      return await runs.rest(current);
    } finally {
      this.#current = null;
    }
  }

  async #begin(stage: StageConfig): Promise<void> {
    const { config, pipeline_id, places } = this.#pipeline;
    const inputs = inputsOf(config, stage, (id) => this.#entry(id).artefact ?? undefined);
    const run_id = newRunId();
    // First the note, then the run: a run that nobody knows of would be lost.
    await this.#set(stage.id, { run_id, artefact: null, reused: false });
    await this.tools.runs.startStage({
      run_id,
      config,
      stage: stage.id,
      pipeline_id,
      place: places[stage.id] ?? null,
      inputs,
    });
  }

  /** Passes on what is wanted; a run that has ended by itself meanwhile needs no telling. */
  async #tell(): Promise<void> {
    if (this.#current === null || this.#wanted === "run") return;
    try {
      await (this.#wanted === "stop" ? this.tools.runs.stop(this.#current) : this.tools.runs.pause(this.#current));
    } catch (error) {
      if (!(error instanceof NagiError) || error.code !== "run.bad_command") throw error;
    }
  }

  #has(artefact: string | null): Promise<boolean> {
    return artefact === null
      ? Promise.resolve(false)
      : this.tools.artefacts.find(artefact).then((found) => found !== null);
  }

  #entry(stageId: string): StoredStage {
    const found = this.#pipeline.stages.find(({ id }) => id === stageId);
    if (found === undefined) throw new NagiError("internal", `there is no stage ${stageId}`, { message: stageId });
    return found;
  }

  #set(stageId: string, change: Partial<StoredStage>): Promise<void> {
    const stages = this.#pipeline.stages.map((entry) => (entry.id === stageId ? { ...entry, ...change } : entry));
    return this.#change({ stages });
  }

  async #change(change: Partial<StoredPipeline>): Promise<void> {
    const next = { ...this.#pipeline, ...change };
    await this.tools.save(next);
    this.#pipeline = next;
  }
}

/** No stage has run yet. */
export function emptyStages(config: RunConfig): StoredStage[] {
  return config.stages.map(({ id }) => ({ id, run_id: null, artefact: null, reused: false }));
}
