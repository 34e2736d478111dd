/** Beginnings of texts, for a model to go on from. */
import type { PromptConfig } from "../../../src/shared/protocol/config";
import type { Random } from "../../../src/shared/stats/random";
import type { Tokenizer } from "./tokenizer";

export interface Prompt {
  readonly text: string;
  /** At least one token. */
  readonly ids: Int32Array;
}

/** The beginning of one text; null where it has no token. */
export function promptOf(text: string, { unit, length }: PromptConfig, tokenizer: Tokenizer): Prompt | null {
  if (unit === "characters") {
    // Code points, so that no character is cut in half.
    const beginning = [...text].slice(0, length).join("");
    const ids = tokenizer.encode(beginning);
    return ids.length === 0 ? null : { text: beginning, ids: Int32Array.from(ids) };
  }
  const ids = tokenizer.encode(text).slice(0, length);
  return ids.length === 0 ? null : { text: tokenizer.decode(ids), ids: Int32Array.from(ids) };
}

/**
 * Up to `count` different beginnings of texts in random order; fewer where the texts have no more.
 * @param random its state decides which
 */
export function drawPrompts(
  texts: readonly string[],
  config: PromptConfig,
  count: number,
  tokenizer: Tokenizer,
  random: Random,
): Prompt[] {
  const prompts: Prompt[] = [];
  const seen = new Set<string>();
  for (const text of random.shuffle([...texts])) {
    if (prompts.length >= count) break;
    const prompt = promptOf(text, config, tokenizer);
    if (!prompt || seen.has(prompt.text)) continue;
    seen.add(prompt.text);
    prompts.push(prompt);
  }
  return prompts;
}
