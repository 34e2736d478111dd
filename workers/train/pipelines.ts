/** All pipelines on this machine, in OPFS under pipelines/ID/pipeline.json: commands in, conductors and records out. */
import { NagiError } from "../../src/shared/errors";
import type { RunConfig } from "../../src/shared/protocol/config";
import type { StagePlace, StagePlaces } from "../../src/shared/protocol/launch";
import {
  type CreateOptions,
  type PipelineRecord,
  type PipelineState,
  type StoredPipeline,
  type StoredStage,
  storedPipeline,
} from "../../src/shared/protocol/pipeline";
import { checkPipeline } from "../../src/shared/protocol/pipeline-check";
import { dependants, inputsOf, stageKey } from "../../src/shared/protocol/pipeline-inputs";
import { type RunRecord, stageOf } from "../../src/shared/protocol/run";
import type { Folder } from "../engine/io/opfs";
import type { ArtefactStore } from "./artefact-store";
import { Conductor, emptyStages } from "./conductor";
import { type Locks, type Release, tryPatiently } from "./locks";
import { isWorking } from "./recovery";
import { newRunId, type Runs } from "./runs";

const RECORD = "pipeline.json";
export const pipelineLock = (pipelineId: string): string => `nagi/pipeline/${pipelineId}`;

export class Pipelines {
  readonly #conductors = new Map<string, Conductor>();
  /** Pipelines that other tabs work on. */
  readonly #watched = new Set<string>();

  /**
   * @param folder holds one folder a pipeline
   * @param changed told after every change of a pipeline
   */
  constructor(
    private readonly folder: Folder,
    private readonly runs: Runs,
    private readonly artefacts: ArtefactStore,
    private readonly locks: Locks,
    private readonly changed: () => void = () => undefined,
  ) {}

  /** Newest first. */
  async list(): Promise<PipelineRecord[]> {
    const runs = new Map((await this.runs.list()).map((run) => [run.run_id, run]));
    const artefacts = new Set((await this.artefacts.list()).map(({ id }) => id));
    const records: PipelineRecord[] = [];
    for (const pipeline of await this.stored()) {
      const conducted = (await this.#isConducted(pipeline.pipeline_id)) || (await this.#goesOn(pipeline, runs));
      records.push(shown(pipeline, conducted, runs, artefacts));
    }
    return records.sort((a, b) => b.created - a.created);
  }

  /**
   * A stage that went on on a worker while no tab was open: its pipeline goes on as well, without being told.
   * @returns whether somebody works on the pipeline now
   */
  async #goesOn({ pipeline_id, stages }: StoredPipeline, runs: ReadonlyMap<string, RunRecord>): Promise<boolean> {
    const current = stages.find(({ artefact }) => artefact === null)?.run_id;
    const run = current == null ? undefined : runs.get(current);
    if (run?.place?.at !== "worker" || !isWorking(run.state)) return false;
    try {
      await this.run(pipeline_id);
    } catch (error) {
      // Another tab was quicker, or it is left to the person.
      console.warn(`the pipeline ${pipeline_id} does not go on by itself`, error);
    }
    return this.#isConducted(pipeline_id);
  }

  /** Takes effect where a stage is begun. @throws run.bad_command while it is worked on, run.not_found, storage.busy */
  async place(pipelineId: string, places: StagePlaces): Promise<void> {
    await this.#resting(pipelineId, "place", async (pipeline) => {
      await this.#save({ ...pipeline, places });
      return "done";
    });
  }

  /** As they are on the disk, or are about to be. */
  async stored(): Promise<StoredPipeline[]> {
    const found: StoredPipeline[] = [];
    for (const { name } of await this.folder.entries()) {
      const live = this.#conductors.get(name)?.pipeline;
      const pipeline = live ?? (await (await this.folder.find(name))?.readJson(RECORD, storedPipeline));
      if (pipeline) found.push(pipeline);
    }
    return found;
  }

  /** @throws config.invalid {file, path, problem, allowed}, storage.quota */
  async create(config: RunConfig, { reuse, places = {} }: CreateOptions): Promise<PipelineRecord> {
    const known = new Map((await this.artefacts.list()).map((artefact) => [artefact.id, artefact.kind]));
    const problem = checkPipeline(config, (id) => known.get(id))[0];
    if (problem !== undefined) {
      const details = { file: config.name, path: problem.path, problem: problem.message, allowed: "" };
      throw new NagiError("config.invalid", `${config.name}: ${problem.path}: ${problem.message}.`, details);
    }
    const pipeline: StoredPipeline = {
      pipeline_id: newRunId(),
      config,
      places,
      created: Date.now(),
      stages: reuse ? await this.#reused(config, places, known) : emptyStages(config),
      error: null,
    };
    try {
      await this.#save(pipeline);
    } catch (error) {
      await this.folder.remove(pipeline.pipeline_id);
      throw error;
    }
    return this.record(pipeline.pipeline_id);
  }

  /** @throws run.not_found {run_id} */
  async record(pipelineId: string): Promise<PipelineRecord> {
    const found = (await this.list()).find(({ pipeline_id }) => pipeline_id === pipelineId);
    if (found === undefined) throw notFound(pipelineId);
    return found;
  }

  /** Runs what is not finished. @throws run.bad_command, run.not_found, storage.busy */
  async run(pipelineId: string): Promise<void> {
    await this.#resting(pipelineId, "run", async (pipeline, release) => this.#conduct(pipeline, release));
  }

  /** Puts the stage and what builds on it back, then runs. @throws as `run`, config.invalid */
  async runFrom(pipelineId: string, stageId: string): Promise<void> {
    await this.#resting(pipelineId, "run", async (pipeline, release) => {
      if (!pipeline.stages.some(({ id }) => id === stageId)) {
        const known = pipeline.stages.map(({ id }) => id).join(", ");
        const details = { file: pipeline.config.name, path: "stages", problem: stageId, allowed: known };
        throw new NagiError("config.invalid", `There is no stage ${stageId}; there are ${known}.`, details);
      }
      const again = new Set(dependants(pipeline.config, stageId));
      const stages = pipeline.stages.map((entry) =>
        again.has(entry.id) ? { id: entry.id, run_id: null, artefact: null, reused: false } : entry,
      );
      const next = { ...pipeline, stages };
      await this.#save(next);
      return this.#conduct(next, release);
    });
  }

  async pause(pipelineId: string): Promise<void> {
    const conductor = this.#conductors.get(pipelineId);
    if (conductor !== undefined) return conductor.request("pause");
    await this.#resting(pipelineId, "pause", async () => {
      throw badCommand("pause", "Only a pipeline that is running can be paused.");
    });
  }

  async stop(pipelineId: string): Promise<void> {
    const conductor = this.#conductors.get(pipelineId);
    if (conductor !== undefined) return conductor.request("stop");
    await this.#resting(pipelineId, "stop", async (pipeline) => {
      for (const { run_id } of pipeline.stages) {
        const run = run_id === null ? null : await this.runs.find(run_id);
        if (run?.pipeline_id !== pipelineId || (run.state !== "paused" && run.state !== "failed")) continue;
        await this.runs.stop(run.run_id);
        this.changed();
        return "done";
      }
      throw badCommand("stop", "No stage of it has begun and not ended.");
    });
  }

  /** @throws run.bad_command while it is worked on, storage.busy */
  async delete(pipelineId: string, removeArtefact: ((id: string) => Promise<void>) | null): Promise<void> {
    await this.#resting(pipelineId, "delete", async () => {
      const others = (await this.stored()).filter(({ pipeline_id }) => pipeline_id !== pipelineId);
      const shared = new Set(others.flatMap(({ stages }) => stages.map(({ run_id }) => run_id)));
      const own = (await this.runs.list()).filter((run) => run.pipeline_id === pipelineId && !shared.has(run.run_id));
      for (const run of own) await this.runs.delete(run.run_id);
      await this.folder.remove(pipelineId);
      const made = new Set(own.map(({ run_id }) => run_id));
      // Newest first: what builds on others goes before them.
      if (removeArtefact !== null)
        for (const artefact of await this.artefacts.list())
          if (made.has(artefact.run_id)) await removeArtefact(artefact.id);
      return "done";
    });
    this.changed();
  }

  /** Waits until nobody in this tab works on the pipeline. */
  async rest(pipelineId: string): Promise<void> {
    await this.#conductors.get(pipelineId)?.done;
  }

  /** The pipeline that would go on with this run, or null. */
  async goesOnWith(run: RunRecord): Promise<string | null> {
    const pipeline = (await this.stored()).find(({ pipeline_id }) => pipeline_id === run.pipeline_id);
    return pipeline?.stages.some(({ run_id }) => run_id === run.run_id) ? pipeline.pipeline_id : null;
  }

  /** Finished stages that are equal to those of `config`: see stageKey. */
  async #reused(
    config: RunConfig,
    places: StagePlaces,
    artefacts: ReadonlyMap<string, unknown>,
  ): Promise<StoredStage[]> {
    const known = new Map<string, RunRecord>();
    for (const run of (await this.runs.list()).toReversed()) {
      if (run.state === "finished" && run.artefact !== null && artefacts.has(run.artefact))
        known.set(`${run.version} ${placeKey(run.place)} ${stageKey(run.config, stageOf(run), run.inputs)}`, run);
    }
    const made = new Map<string, string>();
    return config.stages.map((stage) => {
      const fresh: StoredStage = { id: stage.id, run_id: null, artefact: null, reused: false };
      if (dependsOnMissing(config, stage.id, made)) return fresh;
      const key = stageKey(
        config,
        stage,
        inputsOf(config, stage, (id) => made.get(id)),
      );
      const run = known.get(`${this.runs.version} ${placeKey(places[stage.id])} ${key}`);
      if (run === undefined || run.artefact === null) return fresh;
      made.set(stage.id, run.artefact);
      return { id: stage.id, run_id: run.run_id, artefact: run.artefact, reused: true };
    });
  }

  #conduct(pipeline: StoredPipeline, release: Release): "kept" {
    const { pipeline_id } = pipeline;
    const conductor = new Conductor(pipeline, {
      runs: this.runs,
      artefacts: this.artefacts,
      save: (next) => this.#save(next),
    });
    this.#conductors.set(pipeline_id, conductor);
    void conductor.done.then(() => {
      this.#conductors.delete(pipeline_id);
      release();
      this.changed();
    });
    return "kept";
  }

  async #save(pipeline: StoredPipeline): Promise<void> {
    const folder = await this.folder.folder(pipeline.pipeline_id);
    await folder.writeJson(RECORD, pipeline);
    this.changed();
  }

  async #isConducted(pipelineId: string): Promise<boolean> {
    if (this.#conductors.has(pipelineId)) return true;
    const release = await this.locks.tryHold(pipelineLock(pipelineId));
    if (release === null) this.#watch(pipelineId);
    release?.();
    return release === null;
  }

  /** Another tab works on it: when that tab lets go of it, dead or done, lists here are stale. */
  #watch(pipelineId: string): void {
    if (this.#watched.has(pipelineId)) return;
    this.#watched.add(pipelineId);
    void this.locks
      .hold(pipelineLock(pipelineId), new AbortController().signal)
      .then((release) => {
        this.#watched.delete(pipelineId);
        release();
        this.changed();
      })
      .catch((error: unknown) => console.error(`the pipeline ${pipelineId} is no longer watched`, error));
  }

  /** Does something to a pipeline nobody works on, its lock held; the action says whether a conductor keeps the lock. */
  async #resting(
    pipelineId: string,
    command: string,
    action: (pipeline: StoredPipeline, release: Release) => Promise<"kept" | "done">,
  ): Promise<void> {
    if (this.#conductors.has(pipelineId)) throw badCommand(command, "It is being worked on already.");
    const release = await tryPatiently(this.locks, pipelineLock(pipelineId));
    if (release === null) {
      const message = `The pipeline ${pipelineId} is being worked on in another tab. Go on there, or close that tab.`;
      throw new NagiError("storage.busy", message, { what: "pipeline", name: pipelineId });
    }
    let kept = false;
    try {
      const folder = await this.folder.find(pipelineId);
      const pipeline = await folder?.readJson(RECORD, storedPipeline);
      if (!pipeline) throw notFound(pipelineId);
      kept = (await action(pipeline, release)) === "kept";
    } finally {
      if (!kept) release();
    }
  }
}

/** What of a place decides the result: numbers of another machine or precision are others. */
function placeKey(place: StagePlace | null | undefined): string {
  return place?.at === "worker" ? JSON.stringify([place.worker, { ...place.launch, tracking: null }]) : "browser";
}

function dependsOnMissing(config: RunConfig, stageId: string, made: ReadonlyMap<string, string>): boolean {
  return config.stages.some(
    (earlier) => earlier.id !== stageId && !made.has(earlier.id) && dependants(config, earlier.id).includes(stageId),
  );
}

/** run.bad_command {command, state}. */
function badCommand(command: string, wayOut: string): NagiError {
  return new NagiError("run.bad_command", `The pipeline cannot be told to ${command} now. ${wayOut}`, {
    command,
    state: "",
  });
}

function notFound(pipelineId: string): NagiError {
  const message = `There is no pipeline ${pipelineId} on this machine. It may have been deleted in another tab.`;
  return new NagiError("run.not_found", message, { run_id: pipelineId });
}

function shown(
  pipeline: StoredPipeline,
  conducted: boolean,
  runs: ReadonlyMap<string, RunRecord>,
  artefacts: ReadonlySet<string>,
): PipelineRecord {
  const stages = pipeline.stages.map(({ id, run_id, artefact, reused }) => {
    const run = run_id === null ? undefined : runs.get(run_id);
    const made = artefact ?? run?.artefact ?? null;
    return {
      id,
      state: artefact !== null ? ("finished" as const) : (run?.state ?? ("waiting" as const)),
      run_id: run?.run_id ?? null,
      artefact: made !== null && artefacts.has(made) ? made : null,
      reused,
      step: run?.step ?? 0,
      total_steps: run?.total_steps ?? 0,
    };
  });
  const state = conducted ? "running" : resting(stages, pipeline.error !== null);
  const current = stages.find((stage) => stage.state !== "finished");
  const error = pipeline.error ?? (current?.run_id ? (runs.get(current.run_id)?.error ?? null) : null);
  const { pipeline_id, config, places, created } = pipeline;
  return { pipeline_id, name: config.name, config, places, created, state, error: conducted ? null : error, stages };
}

/** The state of a pipeline that nobody works on. */
function resting(stages: PipelineRecord["stages"], failed: boolean): PipelineState {
  const current = stages.find((stage) => stage.state !== "finished");
  if (current === undefined) return "finished";
  if (current.state === "failed" || current.state === "stopped") return current.state;
  // A run by itself was resumed, or the tab died a moment ago.
  if (current.state === "paused" || isWorkingStage(current.state)) return "paused";
  if (failed) return "failed";
  return stages.some((stage) => stage.state === "finished" && !stage.reused) ? "paused" : "ready";
}

const isWorkingStage = (state: PipelineRecord["stages"][number]["state"]): boolean =>
  state !== "waiting" && isWorking(state);
