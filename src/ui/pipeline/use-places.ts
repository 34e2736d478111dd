/** Where the stages of a draft run, and what was asked about the workers' memory. */
import { useState } from "react";
import type { RunConfig } from "../../shared/protocol/config";
import { DEFAULT_LAUNCH, type StagePlace, type StagePlaces } from "../../shared/protocol/launch";
import type { PreflightResult } from "../../shared/protocol/remote";
import type { RemoteWorkerRecord } from "../../shared/protocol/workers";
import { useWorkers } from "../../stores/workers";

export interface StagePlacing {
  readonly place: StagePlace | null;
  readonly onChange: (place: StagePlace | null) => void;
  readonly preflight: PreflightResult | null;
  readonly onPreflight: (result: PreflightResult | null) => void;
}

export interface Places {
  /** Of the stages that are there. */
  readonly all: StagePlaces;
  of(stage: string): StagePlacing;
  /** Every stage runs on a worker: this browser needs no GPU. */
  readonly elsewhere: boolean;
  /** Some stage is known not to fit; asked again, it runs nevertheless. */
  readonly misfits: boolean;
  /**
   * Asks the workers whether their stages fit, unless that was asked before.
   * @returns a stage that does not and was not known not to, null where nothing stands in the way. @throws worker.*
   */
  check(config: RunConfig): Promise<string | null>;
}

/** @param initial of the pipeline the draft came from */
export function usePlaces(config: RunConfig | null, initial: StagePlaces | undefined): Places {
  const workers = useWorkers((state) => state.workers);
  const ask = useWorkers((state) => state.preflight);
  const [chosen, setChosen] = useState<Readonly<Record<string, StagePlace | null>>>({});
  const [asked, setAsked] = useState<Readonly<Record<string, PreflightResult | null>>>({});
  const placeOf = (stage: string): StagePlace | null =>
    chosen[stage] === undefined ? (initial?.[stage] ?? proposed(config, stage, workers)) : chosen[stage];
  const all: StagePlaces = {};
  for (const { id } of config?.stages ?? []) {
    const place = placeOf(id);
    if (place !== null) all[id] = place;
  }
  const results = Object.keys(all).map((id) => asked[id]);
  return {
    all,
    elsewhere: config?.stages.every(({ id }) => all[id]?.at === "worker") ?? false,
    misfits: results.some((result) => result?.fits === false),
    of: (stage) => ({
      place: placeOf(stage),
      onChange: (place) => setChosen((before) => ({ ...before, [stage]: place })),
      preflight: asked[stage] ?? null,
      onPreflight: (result) => setAsked((before) => ({ ...before, [stage]: result })),
    }),
    async check(valid) {
      let misfit: string | null = null;
      for (const [stage, place] of Object.entries(all)) {
        if (place.at !== "worker" || asked[stage] != null) continue;
        const result = await ask({ worker: place.worker, config: valid, stage, launch: place.launch });
        setAsked((before) => ({ ...before, [stage]: result }));
        if (!result.fits) misfit ??= stage;
      }
      return misfit;
    },
  };
}

/** A base model that only a worker can load: everything but the reward model runs there. */
function proposed(
  config: RunConfig | null,
  stageId: string,
  workers: readonly RemoteWorkerRecord[],
): StagePlace | null {
  const stage = config?.stages.find(({ id }) => id === stageId);
  const [worker] = workers;
  const large = /^(hub|local):/.test(config?.model.model_name_or_path ?? "");
  if (stage === undefined || worker === undefined || !large || stage.stage === "reward") return null;
  const half = worker.info?.precision.find((one) => one === "bfloat16") ?? "float32";
  return { at: "worker", worker: worker.id, launch: { ...DEFAULT_LAUNCH, precision: half } };
}
