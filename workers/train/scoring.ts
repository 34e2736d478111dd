/** Rewards of single texts and of whole splits by a run's newest checkpoint, with the model kept ready between calls. */
import { NagiError } from "../../src/shared/errors";
import { dataOf, rewardStageOf } from "../../src/shared/protocol/config";
import type { ScoredSample } from "../../src/shared/protocol/events";
import type { RunRecord } from "../../src/shared/protocol/run";
import { parseDataset } from "../engine/data/formats";
import { openGpu } from "../engine/gpu/request";
import { RewardScorer } from "../engine/train/scorer";
import type { Runs } from "./runs";
import type { Sources } from "./sources";

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
    private readonly runs: Runs,
    private readonly sources: Sources,
  ) {}

  /** @throws run.no_checkpoint, model.*, gpu.* */
  score(runId: string, texts: readonly string[]): ReturnType<RewardScorer["score"]> {
    return this.#inTurn(async () => (await this.#open(runId)).score(texts));
  }

  /** All rows of a split, in their order. @throws run.no_checkpoint, data.*, model.*, gpu.* */
  scoreSplit(runId: string, split: "validation" | "test"): Promise<ScoredSample[]> {
    return this.#inTurn(async () => {
      const { config } = await this.runs.record(runId);
      const stage = rewardStageOf(config);
      const reference = (stage === null ? config.data : dataOf(config, stage))[split];
      if (reference === null) return [];
      const { name, bytes } = await this.sources.data(reference);
      const { rows } = parseDataset(bytes, name, { requireBothLabels: false });
      const scored = await (await this.#open(runId)).score(rows.map((row) => row.sentence));
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

  async #open(runId: string): Promise<RewardScorer> {
    const record: RunRecord = await this.runs.record(runId);
    const key = `${runId}/${record.checkpoint_step}`;
    if (this.#ready?.key === key) return this.#ready.scorer;
    this.close();
    const stage = rewardStageOf(record.config);
    if (stage === null) throw new NagiError("internal", `the run ${runId} has trained no reward model`);
    const checkpoint = await this.runs.newestCheckpoint(runId);
    const model = await this.sources.model(record.config.model.model_name_or_path);
    const gpu = await openGpu(navigator.gpu);
    try {
      const scorer = await RewardScorer.open({ stage, gpu, model, checkpoint: checkpoint.bytes });
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
