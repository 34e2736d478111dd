/** Rewards of any texts by the weights of a checkpoint: what "try it" and the sorted validation rows are made of. */
import { sigmoid } from "../../../src/shared/stats/calibration";
import { encodeText } from "../data/batches";
import type { Tokenizer } from "../data/tokenizer";
import type { Gpu } from "../gpu/gpu";
import { type FileSource, readJson } from "../io/source";
import { loadWeights } from "./base";
import { checkpointModel, type ExportInput, type RewardModel } from "./export";
import { DeviceGuard } from "./guard";
import { type RewardReader, readRewards } from "./score";
import { rewardShape } from "./stage-shapes";
import { scorerTrainer } from "./stage-trainers";
import { Trainer } from "./trainer";

export interface ScorerInput extends ExportInput {
  readonly gpu: Gpu;
}

export interface TextScore {
  /** The logit, or logit[1] - logit[0] for cross-entropy. */
  readonly reward: number;
  /** sigmoid(reward - threshold): the model's probability of "positive". */
  readonly probability: number;
  /** EOS included. */
  readonly tokens: number;
  /** The text was longer than max_length and was cut. */
  readonly truncated: boolean;
}

export class RewardScorer {
  private constructor(
    private readonly trainer: Trainer,
    private readonly reader: RewardReader,
    private readonly tokenizer: Tokenizer,
    private readonly maxLength: number,
    private readonly threshold: number,
  ) {}

  /**
   * The newest weights of a reward stage. Puts them on the GPU, without gradients and moments. Destroy the scorer when
   * done; the device stays. Rejects with storage.corrupt, model.*, gpu.*.
   */
  static async open(input: ScorerInput): Promise<RewardScorer> {
    // Scores of single texts: a pairwise model is read like a binary one.
    const objective = input.stage.objective === "pairwise" ? "binary" : input.stage.objective;
    return RewardScorer.#create(input.gpu, await checkpointModel(input), objective, input.stage.max_length);
  }

  /**
   * A reward model in Hugging Face layout (GPTNeoXForSequenceClassification): one label is read as the reward, two as
   * negative and positive. Texts are cut to the length it was trained with, where it says so, and to the context in any
   * case. Rejects with model.*, gpu.*.
   */
  static async load({ gpu, model }: { readonly gpu: Gpu; readonly model: FileSource }): Promise<RewardScorer> {
    const json = await readJson(model, "config.json", "model.bad_config");
    const { labels, threshold, max_length, objective } = rewardShape(json);
    const base = await loadWeights(model, { kind: "reward", num_labels: labels }, "whole");
    const weights = { base, tensors: base.tensors, threshold };
    return RewardScorer.#create(gpu, weights, objective, max_length);
  }

  static async #create(
    gpu: Gpu,
    { base, tensors, threshold }: RewardModel,
    objective: "binary" | "cross-entropy",
    max_length: number,
  ): Promise<RewardScorer> {
    const maxLength = Math.min(max_length, base.config.max_position_embeddings);
    const options = scorerTrainer(objective, maxLength);
    const limits = { max_tokens: options.max_tokens, max_texts: options.max_texts };
    const guard = new DeviceGuard(gpu);
    const trainer = await guard.wait(Trainer.create(gpu, base.config, tensors, options));
    return new RewardScorer(trainer, { trainer, guard, objective, limits }, base.tokenizer, maxLength, threshold);
  }

  /** Scores texts in their order; an empty text is its EOS alone. Rejects with gpu.lost. */
  async score(texts: readonly string[]): Promise<TextScore[]> {
    const encoded = texts.map((text) => encodeText(this.tokenizer, text, this.maxLength));
    const rewards = await readRewards(
      this.reader,
      encoded.map(({ ids }) => ids),
    );
    return encoded.map(({ ids, truncated }, index) => {
      const reward = rewards[index] ?? Number.NaN;
      return { reward, probability: sigmoid(reward - this.threshold), tokens: ids.length, truncated };
    });
  }

  /** GPU memory it allocates. */
  get bytes(): number {
    return this.trainer.memory.bytes;
  }

  destroy(): void {
    this.trainer.destroy();
  }
}
