/**
 * Text to token ids and back, by transformers.js (the package `@xenova/transformers`) from a tokenizer.json in memory.
 * No network: nothing is fetched, and the ONNX runtime that the package also holds is never started. The package is
 * loaded on first use, because half a megabyte of script must not stand in the way of a worker's start.
 */
import { NagiError } from "../../../src/shared/errors";

export interface Tokenizer {
  /** Ids without any special token added; the text of a special token (`<|endoftext|>`) becomes that token. */
  encode(text: string): number[];
  /** The text of `ids`; special tokens only if asked for. */
  decode(ids: readonly number[], options?: { readonly keepSpecial?: boolean }): string;
  /** Ends a text. */
  readonly eosId: number;
  /** Fills rows; that of the end of text where a tokenizer has none of its own. */
  readonly padId: number;
  /** One more than the highest id. */
  readonly vocabSize: number;
}

/** model.bad_tokenizer: details { file, reason }. */
function bad(file: string, reason: string, cause?: unknown): NagiError {
  return new NagiError(
    "model.bad_tokenizer",
    `${file}: ${reason}. Take the tokenizer files of the model you use.`,
    { file, reason },
    { cause },
  );
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw bad(file, `is not JSON (${cause instanceof Error ? cause.message : String(cause)})`, cause);
  }
  if (!isObject(value)) throw bad(file, "is not a JSON object");
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A special token of tokenizer_config.json: its text, or an object that holds it. */
function tokenText(value: unknown): string | null {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value.content === "string" ? value.content : null;
}

/** Every token's id: the model's vocabulary (an object, or a list of [token, score]) and the added tokens. */
function readVocabulary(json: Record<string, unknown>): Map<string, number> {
  const file = "tokenizer.json";
  const ids = new Map<string, number>();
  const vocabulary = isObject(json.model) ? json.model.vocab : undefined;
  if (Array.isArray(vocabulary)) {
    for (const [id, entry] of vocabulary.entries()) if (Array.isArray(entry)) ids.set(String(entry[0]), id);
  } else if (isObject(vocabulary)) {
    for (const [token, id] of Object.entries(vocabulary)) if (typeof id === "number") ids.set(token, id);
  }
  if (ids.size === 0) throw bad(file, "has no model.vocab");
  for (const token of Array.isArray(json.added_tokens) ? json.added_tokens : []) {
    if (isObject(token) && typeof token.content === "string" && typeof token.id === "number")
      ids.set(token.content, token.id);
  }
  for (const [token, id] of ids)
    if (!Number.isSafeInteger(id) || id < 0) throw bad(file, `token ${token} has the id ${id}`);
  return ids;
}

/**
 * A tokenizer from the texts of its files; `tokenizerConfigJson` may be null where a model has none. Rejects with
 * model.bad_tokenizer.
 */
export async function createTokenizer(tokenizerJson: string, tokenizerConfigJson: string | null): Promise<Tokenizer> {
  const json = parseObject(tokenizerJson, "tokenizer.json");
  const config = tokenizerConfigJson === null ? {} : parseObject(tokenizerConfigJson, "tokenizer_config.json");
  const vocabulary = readVocabulary(json);
  const eosId = vocabulary.get(tokenText(config.eos_token) ?? "<|endoftext|>");
  if (eosId === undefined) throw bad("tokenizer_config.json", "names no eos_token that the vocabulary has");
  const padId = vocabulary.get(tokenText(config.pad_token) ?? "<|padding|>") ?? eosId;
  const vocabSize = [...vocabulary.values()].reduce((highest, id) => Math.max(highest, id), 0) + 1;

  const { PreTrainedTokenizer, env } = await import("@xenova/transformers");
  env.allowRemoteModels = false;
  env.allowLocalModels = false;
  let tokenizer: InstanceType<typeof PreTrainedTokenizer>;
  try {
    tokenizer = new PreTrainedTokenizer(json, config);
    tokenizer.encode("凪 calm");
  } catch (cause) {
    throw bad("tokenizer.json", `cannot be used (${cause instanceof Error ? cause.message : String(cause)})`, cause);
  }
  return {
    encode: (text) => tokenizer.encode(text, { add_special_tokens: false }),
    decode: (ids, options) =>
      ids.length === 0
        ? ""
        : tokenizer.decode([...ids], {
            skip_special_tokens: !(options?.keepSpecial ?? false),
            clean_up_tokenization_spaces: false,
          }),
    eosId,
    padId,
    vocabSize,
  };
}

/** The tokenizer of a model folder, from its files by name. Rejects with model.bad_tokenizer. */
export async function loadTokenizer(files: ReadonlyMap<string, Uint8Array>): Promise<Tokenizer> {
  const text = (name: string): string | null => {
    const bytes = files.get(name);
    return bytes ? new TextDecoder().decode(bytes) : null;
  };
  const json = text("tokenizer.json");
  if (json === null) throw bad("tokenizer.json", "is missing");
  return await createTokenizer(json, text("tokenizer_config.json"));
}
