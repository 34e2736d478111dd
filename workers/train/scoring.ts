/**
 * What a person asks of a trained model: rewards of single texts and of whole splits by a run's newest checkpoint or by a
 * stored reward model, kept ready between calls; and continuations by a language model.
 */
import { NagiError } from "../../src/shared/errors";
import type { GeneratedText, GenerateSettings } from "../../src/shared/protocol/backend";
import { dataOf, type RewardStageConfig } from "../../src/shared/protocol/config";
import type { ScoredSample } from "../../src/shared/protocol/events";
import { type RunRecord, stageOf } from "../../src/shared/protocol/run";
import { parseDataset } from "../engine/data/formats";
import type { Gpu } from "../engine/gpu/gpu";
import { openGpu } from "../engine/gpu/request";
import { openModel } from "../engine/train/inputs";
import { RewardScorer } from "../engine/train/scorer";
import { writeTexts } from "../engine/train/write-texts";
import type { ArtefactStore } from "./artefact-store";
import { checkKind } from "./lineage";
import type { Runs } from "./runs";
import type { StudioShelf } from "./shelf";

/** Milliseconds without a question after which the GPU memory is given back. */
const IDLE = 60_000;

interface Ready {
  readonly key: string;
  readonly scorer: RewardScorer;
  readonly close: () => void;
}

export class Scoring {
  #ready: Ready | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** One question after the other: a second model on the GPU would help nobody. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly runs: Pick<Runs, "record" | "newestCheckpoint">,
    private readonly shelf: StudioShelf,
    private readonly artefacts: Pick<ArtefactStore, "record">,
  ) {}

  /** @throws run.no_checkpoint, model.*, gpu.* */
  score(runId: string, texts: readonly string[]): ReturnType<RewardScorer["score"]> {
    return this.#inTurn(async () => (await this.#ofRun(runId)).score(texts));
  }

  /** By a stored reward model. @throws artefact.not_found, artefact.wrong_kind, storage.corrupt, model.*, gpu.* */
  scoreArtefact(id: string, texts: readonly string[]): ReturnType<RewardScorer["score"]> {
    return this.#inTurn(async () => (await this.#ofArtefact(id)).score(texts));
  }

  /** Continuations by a model. @throws artefact.*, model.*, config.invalid, data.empty, gpu.* */
  generate(model: string, prompts: readonly string[], settings: GenerateSettings): Promise<GeneratedText[]> {
    return this.#inTurn(async () => {
      if (prompts.length === 0) return [];
      const opened = await openModel(model, this.shelf);
      // One model on the GPU at a time.
      this.close();
      const gpu = await openGpu(navigator.gpu);
      try {
        return await writeTexts(gpu, opened, prompts, settings);
      } finally {
        gpu.destroy();
      }
    });
  }

  /** All rows of a split, in their order. @throws run.no_checkpoint, data.*, model.*, gpu.* */
  scoreSplit(runId: string, split: "validation" | "test"): Promise<ScoredSample[]> {
    return this.#inTurn(async () => {
      const run = await this.runs.record(runId);
      const reference = dataOf(run.config, stageOf(run))[split];
      if (reference === null) return [];
      const { name, bytes } = await this.shelf.data(reference);
      const { rows } = parseDataset(bytes, name, { requireBothLabels: false });
      const scored = await (await this.#ofRun(runId)).score(rows.map((row) => row.sentence));
      return rows.map((row, index) => {
        const reward = scored[index]?.reward ?? Number.NaN;
        return {
          index,
          review_id: row.review_id,
          sentence: row.sentence,
          label: row.label,
          reward: Number.isFinite(reward) ? reward : null,
          truncated: scored[index]?.truncated ?? false,
        };
      });
    });
  }

  /** Gives the GPU memory back, if any is held. */
  close(): void {
    clearTimeout(this.#timer);
    this.#ready?.close();
    this.#ready = null;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(async () => {
      clearTimeout(this.#timer);
      try {
        return await work();
      } catch (error) {
        // A lost device must not answer the next question too.
        this.close();
        throw error;
      } finally {
        this.#timer = setTimeout(() => this.close(), IDLE);
      }
    });
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #ofRun(runId: string): Promise<RewardScorer> {
    const run = await this.runs.record(runId);
    const stage = rewardStage(run);
    return this.#open(`${runId}/${run.checkpoint_step}`, async (gpu) => {
      const checkpoint = await this.runs.newestCheckpoint(runId);
      const { model, adapter } = await openModel(run.inputs.model ?? run.config.model.model_name_or_path, this.shelf);
      return RewardScorer.open({ config: run.config, stage, gpu, model, adapter, checkpoint: checkpoint.bytes });
    });
  }

  async #ofArtefact(id: string): Promise<RewardScorer> {
    const record = await this.artefacts.record(id);
    checkKind(record, "reward_model");
    return this.#open(id, async (gpu) => {
      const { files } = await this.shelf.artefact(id);
      return RewardScorer.load({ gpu, model: files });
    });
  }

  async #open(key: string, load: (gpu: Gpu) => Promise<RewardScorer>): Promise<RewardScorer> {
    if (this.#ready?.key === key) return this.#ready.scorer;
    this.close();
    const gpu = await openGpu(navigator.gpu);
    try {
      const scorer = await load(gpu);
      const close = () => {
        scorer.destroy();
        gpu.destroy();
      };
      this.#ready = { key, scorer, close };
      return scorer;
    } catch (error) {
      gpu.destroy();
      throw error;
    }
  }
}

/** @throws run.bad_command {command, state} for a run of another stage */
function rewardStage(run: RunRecord): RewardStageConfig {
  const stage = stageOf(run);
  if (stage.stage === "reward") return stage;
  throw new NagiError("run.bad_command", `A run of the stage ${stage.stage} gives no rewards. Choose a reward model.`, {
    command: "score",
    state: run.state,
  });
}
