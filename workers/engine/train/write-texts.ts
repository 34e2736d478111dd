/** Continues texts by a model once: what "try it" and `nagi generate` do. */
import type { GeneratedText, GenerateSettings } from "../../../src/shared/protocol/backend";
import { loadTokenizer } from "../data/tokenizer";
import type { Gpu } from "../gpu/gpu";
import { readTokenizerFiles } from "../io/hf-model";
import { readJson } from "../io/source";
import { parseNeoxConfig } from "../model/neox-config";
import { openWritingModel } from "./generator-model";
import { writtenText } from "./prompts";
import type { StageModel } from "./stage";

/** Texts that are written at a time. */
const MOST_TEXTS = 64;

/**
 * Continues the prompts, in their order. Texts end with the tokenizer's EOS, after max_new_tokens, or where the model's
 * max_position_embeddings are used up. Rejects with model.*, config.invalid, data.empty, gpu.*.
 */
export async function writeTexts(
  gpu: Gpu,
  { model, adapter }: Omit<StageModel, "name">,
  texts: readonly string[],
  { seed, ...generation }: GenerateSettings,
): Promise<GeneratedText[]> {
  const { max_position_embeddings } = parseNeoxConfig(await readJson(model, "config.json", "model.bad_config"));
  const tokenizer = await loadTokenizer(await readTokenizerFiles(model));
  const prompts = texts.map((text) => ({ text, ids: Int32Array.from(tokenizer.encode(text)) }));
  const longest = Math.max(...prompts.map(({ ids }) => ids.length));
  const writer = await openWritingModel(gpu, model, adapter, {
    max_texts: Math.min(MOST_TEXTS, prompts.length),
    max_length: Math.min(max_position_embeddings, longest + generation.max_new_tokens),
  });
  try {
    const { ids, finished } = await writer.generator.generate(
      prompts.map((prompt) => prompt.ids),
      { ...generation, seed, eos_token_id: tokenizer.eosId },
    );
    return prompts.map((prompt, index) => {
      const tokens = ids[index] ?? new Int32Array();
      const { text } = writtenText(tokenizer, prompt, tokens);
      return { prompt: prompt.text, text, tokens: tokens.length, finished: finished[index] ?? false };
    });
  } finally {
    writer.destroy();
  }
}
