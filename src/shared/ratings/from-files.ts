/**
 * Items of a rating session out of JSONL files: one text a line, {prompt, text}, a file a model; or the generations.jsonl
 * of an evaluation, whose lines name their models. Optional fields: item (or id), model, reward or rewards.
 */
import { z } from "zod";
import { NagiError } from "../errors";
import type { RatingItem } from "../protocol/rating";

export interface TextFile {
  readonly name: string;
  readonly text: string;
}

export interface ImportedTexts {
  /** In the order of the files. */
  readonly models: readonly string[];
  readonly rewards: readonly string[];
  /** Every item has one text of every model; in the order of the first model's file. */
  readonly items: readonly RatingItem[];
  /** Mean KL by model, where the lines say it. */
  readonly kl: ReadonlyMap<string, number>;
}

const text = z.string();
const line = z.looseObject({
  prompt: text,
  text: text.optional(),
  completion: text.optional(),
  response: text.optional(),
  model: text.min(1).max(200).optional(),
  item: z.union([z.int(), text.min(1).max(200)]).optional(),
  id: z.union([z.int(), text.min(1).max(200)]).optional(),
  reward: z.number().nullish(),
  rewards: z.record(text, z.number().nullable()).optional(),
  kl: z.number().nullish(),
});

interface Row {
  readonly key: string;
  readonly item: number | string | null;
  readonly prompt: string;
  readonly text: string;
  readonly rewards: Readonly<Record<string, number | null>>;
  readonly kl: number | null;
}

interface Source {
  readonly file: string;
  readonly rows: Map<string, Row>;
}

/** The name under which a plain `reward` stands. */
const REWARD = "reward";

/**
 * Lines of different models belong together by `item` (or `id`) where all have one, else by prompt; a prompt that comes
 * several times, in the order of its lines. Throws rating.bad_text {file, line, field}, rating.unpaired {file, other,
 * prompt}, rating.invalid for fewer than two models.
 */
export function textsFromFiles(files: readonly TextFile[]): ImportedTexts {
  const sources = new Map<string, Source>();
  for (const file of files) {
    const fallback = freeName(stem(file.name), sources);
    for (const [model, rows] of readFile(file, fallback)) {
      const name = freeName(model, sources);
      sources.set(name, { file: file.name, rows });
    }
  }
  const models = [...sources.keys()];
  const [first, ...others] = [...sources.values()];
  if (first === undefined || others.length === 0 || models.length > 8) throw wrongCount(models);
  for (const other of others) {
    requireSame(first, other);
    requireSame(other, first);
  }
  const numbered = [...first.rows.values()].every(({ item }) => item !== null);
  const items = [...first.rows.values()].map((row, at) => ({
    item: numbered && row.item !== null ? row.item : at + 1,
    prompt: row.prompt,
    texts: [...sources].map(([model, { rows }]) => {
      const own = rows.get(row.key);
      return { model, text: own?.text ?? "", rewards: { ...own?.rewards } };
    }),
  }));
  const rewards = new Set([...sources.values()].flatMap(({ rows }) => [...rows.values()].flatMap(rewardNames)));
  return { models, rewards: [...rewards], items, kl: meansOfKl(sources) };
}

const rewardNames = ({ rewards }: Row): string[] => Object.keys(rewards);

function meansOfKl(sources: ReadonlyMap<string, Source>): Map<string, number> {
  const means = new Map<string, number>();
  for (const [model, { rows }] of sources) {
    const known = [...rows.values()].flatMap(({ kl }) => (kl === null ? [] : [kl]));
    if (known.length > 0) means.set(model, known.reduce((sum, value) => sum + value, 0) / known.length);
  }
  return means;
}

/** By model, and within it by what makes lines of different models belong together. */
function readFile(file: TextFile, fallback: string): Map<string, Map<string, Row>> {
  const models = new Map<string, Map<string, Row>>();
  const lines = file.text.replace(/^\uFEFF/, "").split("\n");
  for (const [at, content] of lines.entries()) {
    if (content.trim() === "") continue;
    const row = readLine(content, file.name, at + 1);
    const model = row.model ?? fallback;
    const rows = models.get(model) ?? new Map<string, Row>();
    const item = row.item ?? row.id ?? null;
    const key = item === null ? promptKey(row.prompt, rows) : `item ${item}`;
    if (rows.has(key)) throw badText(file.name, at + 1, row.item === undefined ? "id" : "item");
    const written = row.text ?? row.completion ?? row.response;
    if (written === undefined) throw badText(file.name, at + 1, "text");
    const rewards = { ...row.rewards, ...(row.reward == null ? {} : { [REWARD]: row.reward }) };
    rows.set(key, { key, item, prompt: row.prompt, text: written, rewards, kl: row.kl ?? null });
    models.set(model, rows);
  }
  if (models.size === 0) throw badText(file.name, 1, "prompt");
  return models;
}

function readLine(content: string, file: string, number: number): z.infer<typeof line> {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    throw badText(file, number, "JSON");
  }
  const parsed = line.safeParse(value);
  if (parsed.success) return parsed.data;
  throw badText(file, number, parsed.error.issues[0]?.path.join(".") || "JSON");
}

/** The k-th line of a prompt belongs to the k-th of another model. */
function promptKey(prompt: string, rows: ReadonlyMap<string, Row>): string {
  for (let k = 1; ; k++) {
    const key = `prompt ${k} ${prompt}`;
    if (!rows.has(key)) return key;
  }
}

function requireSame(from: Source, to: Source): void {
  for (const [key, row] of from.rows)
    if (to.rows.get(key)?.prompt !== row.prompt)
      throw new NagiError(
        "rating.unpaired",
        `${to.file} has no text for the prompt "${row.prompt}" of ${from.file}. Give every model a text for the same prompts.`,
        { file: from.file, other: to.file, prompt: row.prompt.slice(0, 80) },
      );
}

function badText(file: string, number: number, field: string): NagiError {
  return new NagiError(
    "rating.bad_text",
    `${file}, line ${number}: no usable ${field}. Write one text a line: {"prompt": "...", "text": "..."}.`,
    { file, line: number, field },
  );
}

function wrongCount(models: readonly string[]): NagiError {
  const problem = `${models.length} in these files (${models.join(", ")}); two to eight are needed, a file each`;
  return new NagiError("rating.invalid", `rating session: models: ${problem}.`, {
    session: "",
    path: "models",
    problem,
  });
}

const stem = (file: string): string => file.replace(/\.[^.]+$/, "").slice(0, 200) || "model";

function freeName(name: string, taken: ReadonlyMap<string, unknown>): string {
  for (let k = 1; ; k++) {
    const candidate = k === 1 ? name : `${name}-${k}`;
    if (!taken.has(candidate)) return candidate;
  }
}
