/** Files of pairs: JSONL of {prompt, chosen, rejected}, from votes or from elsewhere. Read strictly: every line counts. */
import { NagiError } from "../../../src/shared/errors";
import { type PreferencePair, preferencePair } from "../../../src/shared/protocol/artefact";
import { decodeText } from "./text";

const FIELDS = ["prompt", "chosen", "rejected"] as const;
const EXAMPLE = '{"prompt": "この商品は", "chosen": "とても良い", "rejected": "良くない"}';

/**
 * The pairs of a file, in its order; other fields of a line are left aside. A prompt may be empty, the two answers may
 * not, nor be equal: there would be nothing to prefer.
 * Throws data.empty {file}, data.not_json and data.missing_column {file, line, value, found, count, total}.
 */
export function parsePreferences(bytes: Uint8Array, file: string): PreferencePair[] {
  const { text } = decodeText(bytes, file);
  const pairs: PreferencePair[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const content = raw.trim();
    if (content !== "") pairs.push(parsePair(content, file, index + 1));
  }
  if (pairs.length > 0) return pairs;
  throw new NagiError("data.empty", `${file} has no pairs. Write one a line: ${EXAMPLE}`, { file });
}

function parsePair(content: string, file: string, line: number): PreferencePair {
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch {
    json = null;
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    const value = content.length > 60 ? `${content.slice(0, 60)}…` : content;
    throw new NagiError(
      "data.not_json",
      `${file}, line ${line}: is not a JSON object: ${value}. Write one pair a line: ${EXAMPLE}`,
      { file, line, value, count: 1, total: 1 },
    );
  }
  const fields: Partial<Record<string, unknown>> = { ...json };
  const [prompt, chosen, rejected] = FIELDS.map((name) => fields[name]);
  const parsed = preferencePair.safeParse({ prompt, chosen, rejected });
  if (!parsed.success) throw missing(file, line, Object.keys(json).join(", "), `needs ${FIELDS.join(", ")} as texts`);
  const pair = parsed.data;
  if (pair.chosen.trim() === "" || pair.rejected.trim() === "")
    throw missing(file, line, "an empty text", "chosen and rejected must not be empty");
  if (pair.chosen === pair.rejected)
    throw missing(file, line, "twice the same text", "chosen and rejected must differ");
  return pair;
}

function missing(file: string, line: number, found: string, problem: string): NagiError {
  return new NagiError(
    "data.missing_column",
    `${file}, line ${line}: ${problem}, found: ${found || "nothing"}. Write one pair a line: ${EXAMPLE}`,
    { file, line, value: found, found, count: 1, total: 1 },
  );
}
