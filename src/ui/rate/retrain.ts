/** Pipelines that learn from votes: another reward model, or DPO on the model that was rated. Pure. */
import type { ArtefactRecord } from "../../shared/protocol/artefact";
import { BASE_SLOT, type DataConfig, type RunConfig, type StageConfig } from "../../shared/protocol/config";
import {
  DEFAULT_DPO_STAGE,
  DEFAULT_EVALUATE_STAGE,
  DEFAULT_MERGE_STAGE,
  DEFAULT_REWARD_STAGE,
  DEFAULT_RUN,
} from "../../shared/protocol/defaults";
import type { RatedModel, RatedReward } from "../../shared/protocol/rating-files";

/** What is known here of where the texts came from. */
export interface Origin {
  readonly artefacts: readonly ArtefactRecord[];
  /** The configuration of the run that made an artefact, where it is still there. */
  readonly configOf: (record: ArtefactRecord) => RunConfig | undefined;
}

/** Votes are few: several rounds over them. */
const EPOCHS = { num_train_epochs: 3 };

const isArtefact = (id: string): boolean => /^[0-9a-f]{64}$/.test(id);

/**
 * Trains a reward model on the pairs, from the same weights and with the same settings as `before`, the reward model whose
 * rewards the texts carry; with the usual ones where none is known.
 */
export function rewardOnVotes(
  name: string,
  pairs: string,
  before: ArtefactRecord | undefined,
  origin: Origin,
): RunConfig {
  const stage = before?.stage?.stage === "reward" ? before.stage : DEFAULT_REWARD_STAGE;
  const config = before === undefined ? undefined : origin.configOf(before);
  const from = before?.parents.find(({ slot }) => slot === "model")?.id ?? null;
  return {
    ...base(name, from, config),
    stages: [
      {
        ...stage,
        ...EPOCHS,
        id: "reward",
        model: from !== null && isArtefact(from) ? `artefact:${from}` : BASE_SLOT,
        data: null,
        rows: null,
        objective: "pairwise",
        pairs: `artefact:${pairs}`,
        max_steps: -1,
      },
    ],
  };
}

/** DPO on the pairs from `model`, then an evaluation of both with the reward models that are here. */
export function dpoOnVotes(
  name: string,
  pairs: string,
  model: RatedModel | undefined,
  rewards: readonly RatedReward[],
  evaluation: ArtefactRecord | undefined,
  origin: Origin,
): RunConfig {
  const source = model?.source ?? null;
  const record = origin.artefacts.find(({ id }) => id === source);
  const config = evaluation === undefined ? undefined : origin.configOf(evaluation);
  const run = base(name, source, config);
  const before: StageConfig[] = [];
  let policy = BASE_SLOT;
  if (record?.kind === "model") policy = `artefact:${record.id}`;
  else if (record?.kind === "adapter") {
    before.push({ ...DEFAULT_MERGE_STAGE, adapter: `artefact:${record.id}` });
    policy = DEFAULT_MERGE_STAGE.id;
  }
  const settings = evaluation?.stage?.stage === "evaluate" ? evaluation.stage : DEFAULT_EVALUATE_STAGE;
  const judges = rewards.flatMap(({ source: id }) =>
    id !== null && origin.artefacts.some((one) => one.id === id) ? [`artefact:${id}`] : [],
  );
  return {
    ...run,
    stages: [
      ...before,
      { ...DEFAULT_DPO_STAGE, ...EPOCHS, model: policy, pairs: `artefact:${pairs}`, prompt: settings.prompt },
      {
        ...settings,
        id: "evaluate",
        models: [policy, DEFAULT_DPO_STAGE.id],
        reward_models: judges.slice(0, 4),
        data: null,
        split: run.data.test === null ? "validation" : settings.split,
      },
    ],
  };
}

/** @param from an artefact's id, a reference, or null; a reference is the run's base */
function base(name: string, from: string | null, config: RunConfig | undefined): RunConfig {
  const data: DataConfig = config?.data ?? DEFAULT_RUN.data;
  const known = config?.model ?? DEFAULT_RUN.model;
  const model = from === null || isArtefact(from) ? known : { ...known, model_name_or_path: from };
  return { ...DEFAULT_RUN, name: name.slice(0, 120), seed: config?.seed ?? DEFAULT_RUN.seed, model, data };
}
