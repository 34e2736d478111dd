/** Texts that a model in training writes at its evaluations: the same prompts and random numbers every time. */
import type { DpoStageConfig, SftStageConfig } from "../../../src/shared/protocol/config";
import { parseTemplate } from "../data/documents";
import type { ParameterStore } from "../model/params";
import type { BaseDescription } from "./base";
import { Generator } from "./generator";
import { drawPrompts, type Prompt, writtenText } from "./prompts";
import type { StageRun } from "./stage-run";
import { SAMPLE_TOKENS, samplesCache } from "./stage-trainers";
import { stream } from "./streams";

export interface TextSamplesInput {
  readonly base: Pick<BaseDescription, "config" | "tokenizer">;
  /** The trainer's: what is trained is what writes. */
  readonly store: ParameterStore;
  /** Texts whose beginnings are prompts. */
  readonly texts: readonly string[];
}

export class TextSamples {
  private generator: Generator | null = null;
  private readonly prompts: readonly Prompt[];

  constructor(
    private readonly run: StageRun<SftStageConfig | DpoStageConfig>,
    private readonly input: TextSamplesInput,
  ) {
    const { prompt, sample_texts } = run.config;
    const { tokenizer } = input.base;
    const before = run.config.stage === "sft" ? parseTemplate(run.config.template).before : "";
    const ahead = before === "" ? [] : tokenizer.encode(before);
    this.prompts = drawPrompts(tokenizer, input.texts, prompt, sample_texts, stream(run.seed, "samples")).map(
      ({ text, ids }) => ({ text: before + text, ids: Int32Array.from([...ahead, ...ids]) }),
    );
  }

  /** Writes and emits the samples of a step; nothing where none are wanted. Rejects with gpu.*. */
  async write(step: number): Promise<void> {
    const { run, prompts } = this;
    if (prompts.length === 0) return;
    const { tokenizer } = this.input.base;
    const generator = this.generator ?? (await run.guard.wait(this.create()));
    this.generator = generator;
    const { ids, finished } = await run.guard.wait(
      generator.generate(
        prompts.map((prompt) => prompt.ids),
        {
          max_new_tokens: SAMPLE_TOKENS,
          temperature: 1,
          top_k: 0,
          top_p: 1,
          seed: run.seed,
          eos_token_id: tokenizer.eosId,
        },
      ),
    );
    const texts = prompts.map((prompt, index) => {
      const written = ids[index] ?? new Int32Array();
      const { text } = writtenText(tokenizer, prompt, written);
      return { prompt: prompt.text, text, reward: null, tokens: written.length, finished: finished[index] ?? false };
    });
    run.emit({ type: "samples", step, texts });
  }

  /** Frees what is on the GPU. */
  destroy(): void {
    this.generator?.destroy();
  }

  private create(): Promise<Generator> {
    const { base, store } = this.input;
    const longest = Math.max(...this.prompts.map(({ ids }) => ids.length));
    const cache = samplesCache(this.prompts.length, longest, base.config);
    return Generator.create(this.run.input.gpu, base.config, store, cache);
  }
}
