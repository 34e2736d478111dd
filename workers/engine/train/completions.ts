/** Prompts with their continuations as a trainer sees them: one flat stream in which only the continuation's tokens count. */
import { IGNORED, type PackedBatch } from "../data/batches";
import { packDocuments } from "../data/documents";

/** Token ids of a text, and how many of them, at least one, were given and not chosen. At least one was chosen. */
export interface Completion {
  readonly ids: Int32Array;
  readonly prompt_tokens: number;
}

export const completionOf = (prompt: Int32Array, continuation: Int32Array): Completion => {
  const ids = new Int32Array(prompt.length + continuation.length);
  ids.set(prompt);
  ids.set(continuation, prompt.length);
  return { ids, prompt_tokens: prompt.length };
};

/** The tokens that were chosen. */
export const chosenIds = ({ ids, prompt_tokens }: Completion): Int32Array => ids.subarray(prompt_tokens);

export const chosenTokens = ({ ids, prompt_tokens }: Completion): number => ids.length - prompt_tokens;

/** One stream; targets are the chosen tokens, IGNORED elsewhere. Throws RangeError where nothing was given or chosen. */
export function packCompletions(texts: readonly Completion[]): PackedBatch & { readonly targets: Int32Array } {
  for (const { ids, prompt_tokens } of texts)
    if (!(prompt_tokens >= 1 && prompt_tokens < ids.length))
      throw new RangeError(`a text of ${ids.length} tokens, ${prompt_tokens} of them given`);
  const { targets, ...batch } = packDocuments(
    texts.map(({ ids, prompt_tokens }) => ({ ids, learnt_from: prompt_tokens })),
  );
  if (!targets) throw new Error("documents have targets");
  return { ...batch, targets };
}

/** Of values a token of a stream [R]: those of the states in which a token was chosen, text after text. */
export function takeChosen(values: Float32Array, targets: Int32Array): Float64Array {
  const chosen: number[] = [];
  for (const [row, target] of targets.entries()) if (target !== IGNORED) chosen.push(values[row] ?? Number.NaN);
  return Float64Array.from(chosen);
}

/** The other way round: [R] with the values in the rows in which a token was chosen, 0 elsewhere. */
export function putChosen(values: ArrayLike<number>, targets: Int32Array): Float32Array<ArrayBuffer> {
  const rows = new Float32Array(targets.length);
  let next = 0;
  for (const [row, target] of targets.entries()) if (target !== IGNORED) rows[row] = values[next++] ?? Number.NaN;
  if (next !== values.length) throw new RangeError(`${values.length} values for ${next} chosen tokens`);
  return rows;
}
