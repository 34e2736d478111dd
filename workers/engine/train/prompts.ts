/** Prompts cut from texts, and continuations put behind them. */
import type { PromptConfig } from "../../../src/shared/protocol/config";
import type { Random } from "../../../src/shared/stats/random";
import type { Tokenizer } from "../data/tokenizer";

export interface Prompt {
  readonly text: string;
  /** At least one. */
  readonly ids: Int32Array;
}

/** The beginning of a text: its first characters (code points), encoded, or its first tokens. Null of an empty text. */
export function promptOf(tokenizer: Tokenizer, text: string, { unit, length }: PromptConfig): Prompt | null {
  if (unit === "characters") {
    const beginning = Array.from(text).slice(0, length).join("");
    const ids = Int32Array.from(tokenizer.encode(beginning));
    return ids.length === 0 ? null : { text: beginning, ids };
  }
  const ids = Int32Array.from(tokenizer.encode(text).slice(0, length));
  return ids.length === 0 ? null : { text: tokenizer.decode([...ids]), ids };
}

/**
 * Up to `count` different prompts of texts in random order; fewer where the texts have no more.
 * @param random its state decides which
 */
export function drawPrompts(
  tokenizer: Tokenizer,
  texts: readonly string[],
  config: PromptConfig,
  count: number,
  random: Random,
): Prompt[] {
  const prompts = new Map<string, Prompt>();
  for (const text of random.shuffle([...texts])) {
    if (prompts.size >= count) break;
    const prompt = promptOf(tokenizer, text, config);
    if (prompt && !prompts.has(prompt.text)) prompts.set(prompt.text, prompt);
  }
  return [...prompts.values()];
}

/**
 * Prompt and continuation as one text, and the continuation alone. Decoded together: a character may be spread over the
 * last token of the prompt and the first of the continuation, which then begins with it.
 * @param continuation new tokens; a closing EOS is left out.
 */
export function writtenText(
  tokenizer: Tokenizer,
  prompt: Prompt,
  continuation: Int32Array,
): { readonly whole: string; readonly text: string } {
  const whole = tokenizer.decode([...prompt.ids, ...continuation]);
  const text = whole.startsWith(prompt.text) ? whole.slice(prompt.text.length) : tokenizer.decode([...continuation]);
  return { whole, text };
}
