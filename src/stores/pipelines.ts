/**
 * Pipelines: what is listed, in step with their runs, and the commands.
 *
 * Usage:
 *   const pipelines = usePipelines((s) => s.pipelines);          // newest first; stages follow their runs' events
 *   const { pipeline_id } = await usePipelines.getState().create(config, { reuse: false });
 *   await usePipelines.getState().run(pipeline_id);
 * Call `load()` once at start: from then on lists are read again whenever something changes, here or in another tab.
 * Actions reject with a NagiError.
 */
import { create } from "zustand";
import { backend, type CreateOptions, type PipelineRecord, type PipelineStage } from "../clients/backend";
import { askToPersist } from "../persist/storage";
import { type ErrorData, toErrorData } from "../shared/errors";
import type { RunConfig } from "../shared/protocol/config";
import type { StagePlaces } from "../shared/protocol/launch";
import type { RunRecord } from "../shared/protocol/run";
import { useArtefacts } from "./artefacts";
import { useDownloads } from "./downloads";
import { useModels } from "./models";
import { useRuns } from "./runs";
import { useWorkers } from "./workers";

export interface PipelinesState {
  /** False until the first load() has settled. */
  readonly loaded: boolean;
  readonly loadError: ErrorData | null;
  readonly pipelines: readonly PipelineRecord[];
  load(): Promise<void>;
  create(config: RunConfig, options: CreateOptions): Promise<PipelineRecord>;
  /** Other places for its stages. */
  place(pipelineId: string, places: StagePlaces): Promise<void>;
  run(pipelineId: string): Promise<void>;
  runFrom(pipelineId: string, stage: string): Promise<void>;
  pause(pipelineId: string): Promise<void>;
  stop(pipelineId: string): Promise<void>;
  delete(pipelineId: string, options: { readonly artefacts: boolean }): Promise<void>;
}

/** Ends the subscription to changes; null before the first load(). */
let watching: Promise<() => void> | null = null;

export const usePipelines = create<PipelinesState>()((set) => {
  const refresh = async (): Promise<void> => {
    const pipelines = await backend().listPipelines();
    pipelines.sort((a, b) => b.created - a.created);
    set({ pipelines: followRuns(pipelines, useRuns.getState().runs), loaded: true, loadError: null });
  };
  const reread = {
    pipelines: inTurn(refreshAll),
    artefacts: inTurn(() => useArtefacts.getState().load()),
    workers: inTurn(() => useWorkers.getState().load()),
    models: inTurn(async () => {
      await useModels.getState().load();
      // Models are what takes most room; what cannot be measured is shown as unknown.
      await useRuns
        .getState()
        .refreshStorage()
        .catch(() => undefined);
    }),
    downloads: inTurn(() => useDownloads.getState().load()),
  };

  /** A stage that has begun is a run that the list of runs does not know yet. */
  async function refreshAll(): Promise<void> {
    await useRuns.getState().load();
    await refresh();
  }

  const afterwards = async (command: Promise<void>): Promise<void> => {
    try {
      await command;
    } finally {
      await refreshAll();
    }
  };

  useRuns.subscribe(({ runs }, before) => {
    if (runs !== before.runs) set((state) => ({ pipelines: followRuns(state.pipelines, runs) }));
  });

  return {
    loaded: false,
    loadError: null,
    pipelines: [],
    async load() {
      try {
        watching ??= backend().changes((change) => void reread[change]());
        await watching;
        await refresh();
      } catch (error) {
        watching = null;
        set({ loaded: true, loadError: toErrorData(error) });
      }
    },
    async create(config, options) {
      const made = await backend().createPipeline(config, options);
      await refresh();
      return made;
    },
    place: (pipelineId, places) => afterwards(backend().placeStages(pipelineId, places)),
    async run(pipelineId) {
      void askToPersist();
      await afterwards(backend().runPipeline(pipelineId));
    },
    async runFrom(pipelineId, stage) {
      void askToPersist();
      await afterwards(backend().runPipelineFrom(pipelineId, stage));
    },
    pause: (pipelineId) => afterwards(backend().pausePipeline(pipelineId)),
    stop: (pipelineId) => afterwards(backend().stopPipeline(pipelineId)),
    delete: (pipelineId, options) => afterwards(backend().deletePipeline(pipelineId, options)),
  };
});

/** The pipelines with what their runs' events say by now; the same array where they say nothing new. */
export function followRuns(
  pipelines: readonly PipelineRecord[],
  runs: readonly RunRecord[],
): readonly PipelineRecord[] {
  const byId = new Map(runs.map((run) => [run.run_id, run]));
  let changed = false;
  const followed = pipelines.map((pipeline) => {
    const stages = pipeline.stages.map((stage) => followRun(stage, byId));
    if (stages.every((stage, index) => stage === pipeline.stages[index])) return pipeline;
    changed = true;
    return { ...pipeline, stages };
  });
  return changed ? followed : pipelines;
}

function followRun(stage: PipelineStage, runs: ReadonlyMap<string, RunRecord>): PipelineStage {
  const run = stage.run_id === null ? undefined : runs.get(stage.run_id);
  if (run === undefined || stage.reused) return stage;
  const { state, step, total_steps } = run;
  if (state === stage.state && step === stage.step && total_steps === stage.total_steps) return stage;
  return { ...stage, state, step, total_steps };
}

/** One at a time: asked for again while it is under way, it runs once more afterwards. Never rejects. */
function inTurn(action: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> | null = null;
  let again = false;
  const go = async (): Promise<void> => {
    do {
      again = false;
      try {
        await action();
      } catch {
        // The next change, or the person's next action, reads again and tells.
      }
    } while (again);
    current = null;
  };
  return () => {
    again = current !== null;
    current ??= go();
    return current;
  };
}
