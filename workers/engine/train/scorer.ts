/** Rewards of any texts by the weights of a checkpoint: what "try it" and the sorted validation rows are made of. */
import type { RewardStageConfig } from "../../../src/shared/protocol/config";
import { sigmoid } from "../../../src/shared/stats/calibration";
import { encodeText } from "../data/batches";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer";
import type { Gpu } from "../gpu/gpu";
import { decodeCheckpoint } from "../io/checkpoint";
import { loadModel, readTokenizerFiles } from "../io/hf-model";
import { type FileSource, readJson } from "../io/source";
import { type NeoxConfig, parseNeoxConfig } from "../model/neox-config";
import { neoxParameterShapes, SCORE } from "../model/shapes";
import { DeviceGuard } from "./guard";
import { type RewardReader, readRewards } from "./score";
import { parseState, rewardState } from "./state";
import { Trainer } from "./trainer";

/** Tokens and texts of one forward pass, unless a single text may be longer. */
const FORWARD = { tokens: 1024, texts: 32 } as const;

export interface ScorerInput {
  readonly stage: Pick<RewardStageConfig, "objective" | "max_length">;
  readonly gpu: Gpu;
  /** The base model's folder: config.json and the tokenizer are read from it. */
  readonly model: FileSource;
  /** The bytes that RunStorage.saveCheckpoint was given. */
  readonly checkpoint: Uint8Array;
}

export interface ModelScorerInput {
  readonly gpu: Gpu;
  readonly model: FileSource;
  /** Tokens, EOS included. */
  readonly max_length: number;
}

interface Weights {
  readonly gpu: Gpu;
  readonly neox: NeoxConfig;
  readonly tensors: ReadonlyMap<string, Float32Array>;
  readonly tokenizer: Tokenizer;
  readonly objective: "binary" | "cross-entropy";
  readonly threshold: number;
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
   * Puts the weights on the GPU, without the trunk's gradients and moments. Destroy the scorer when done; the device stays.
   * Rejects with storage.corrupt, model.*, gpu.*.
   */
  static async open({ stage, gpu, model, checkpoint }: ScorerInput): Promise<RewardScorer> {
    const { weights, state } = await decodeCheckpoint(checkpoint, "checkpoint");
    const { threshold } = parseState(rewardState, state);
    const neox = parseNeoxConfig(await readJson(model, "config.json", "model.bad_config"));
    const tokenizer = await loadTokenizer(await readTokenizerFiles(model));
    // Scores of single texts: a pairwise model is read like a binary one.
    const objective = stage.objective === "pairwise" ? "binary" : stage.objective;
    return RewardScorer.#create({ gpu, neox, tensors: weights, tokenizer, objective, threshold }, stage.max_length);
  }

  /**
   * A reward model in Hugging Face layout (GPTNeoXForSequenceClassification): one label is read as the reward, two as
   * negative and positive. Its threshold is 0. Rejects with model.*, gpu.*.
   * @param max_length longer texts are cut
   */
  static async load({ gpu, model, max_length }: ModelScorerInput): Promise<RewardScorer> {
    const shapes = (configJson: unknown) => {
      const config = parseNeoxConfig(configJson);
      return neoxParameterShapes(config, { kind: "reward", num_labels: config.num_labels ?? 1 });
    };
    const loaded = await loadModel(model, {
      expected: (configJson) => [...shapes(configJson)].map(([name, shape]) => ({ name, shape })),
    });
    const neox = parseNeoxConfig(loaded.configJson);
    const tokenizer = await loadTokenizer(loaded.tokenizerFiles);
    const objective = neox.num_labels === 2 ? "cross-entropy" : "binary";
    return RewardScorer.#create({ gpu, neox, tensors: loaded.tensors, tokenizer, objective, threshold: 0 }, max_length);
  }

  static async #create(
    { gpu, neox, tensors, tokenizer, objective, threshold }: Weights,
    max_length: number,
  ): Promise<RewardScorer> {
    const maxLength = Math.min(max_length, neox.max_position_embeddings);
    const limits = { max_tokens: Math.max(FORWARD.tokens, maxLength), max_texts: FORWARD.texts };
    const guard = new DeviceGuard(gpu);
    const trainer = await guard.wait(
      Trainer.create(gpu, neox, tensors, {
        task: "reward",
        objective,
        optimizer: { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, max_grad_norm: 0 },
        // A trainer trains something; the head's gradients and moments are a few rows.
        trainable: (name) => name === SCORE,
        ...limits,
      }),
    );
    return new RewardScorer(trainer, { trainer, guard, objective, limits }, tokenizer, maxLength, threshold);
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

  destroy(): void {
    this.trainer.destroy();
  }
}
