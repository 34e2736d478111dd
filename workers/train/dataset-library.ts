/** Data sets on this machine: bundled ones by name, imported ones in OPFS under datasets/ID/{entry.json, SPLIT.*}. */
import { BUNDLED_DATASETS } from "../../src/shared/bundled";
import { NagiError } from "../../src/shared/errors";
import type { DatasetSummary } from "../../src/shared/protocol/backend";
import { type DatasetEntry, type DatasetImport, datasetEntry, importFindings } from "../../src/shared/protocol/library";
import { histogram } from "../../src/shared/stats/histogram";
import { Random } from "../../src/shared/stats/random";
import { type ParsedDataset, parseDataset, type Row } from "../engine/data/formats";
import type { Folder } from "../engine/io/opfs";
import type { DataFile } from "../engine/train/stage";
import type { Sources, Split } from "./sources";

const ENTRY = "entry.json";
const FINDINGS = "findings.json";
/** Of the training rows, where a person has no validation file. */
const VALIDATION_SHARE = 0.1;
const SAMPLES = 10;

interface SplitFile {
  readonly split: Split;
  /** As stored: the split with the ending that says the format. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export class DatasetLibrary {
  constructor(
    private readonly folder: Folder,
    private readonly sources: Pick<Sources, "data">,
  ) {}

  /** Bundled ones first, then the newest. */
  async list(): Promise<DatasetEntry[]> {
    const imported: DatasetEntry[] = [];
    for (const { name } of await this.folder.entries()) {
      const entry = await (await this.folder.find(name))?.readJson(ENTRY, datasetEntry);
      // Without its entry it is the rest of an import that was cut short; the next import of the same files replaces it.
      if (entry) imported.push(entry);
    }
    return [...BUNDLED_DATASETS, ...imported.sort((a, b) => b.created - a.created)];
  }

  /**
   * Checks every file, then stores them. The same files with the same seed are the same data set.
   * @throws data.*, storage.quota
   */
  async import(request: DatasetImport): Promise<DatasetEntry> {
    const train = await readFile(request.train);
    const validation = request.validation === null ? null : await readFile(request.validation);
    const test = request.test === null ? null : await readFile(request.test);
    const parsed = parseDataset(train.bytes, train.name);
    const files =
      validation === null
        ? splitRows(parsed.rows, train.name, request.seed)
        : [stored("train", train, parsed), checked("validation", validation)];
    if (test !== null) files.push(checked("test", test));

    const id = await contentId(files);
    const folder = await this.folder.folder(id);
    const entry: DatasetEntry = {
      id,
      name: request.name.trim() || train.name,
      source: "imported",
      data: {
        train: `imported:${id}/train`,
        validation: `imported:${id}/validation`,
        test: test === null ? null : `imported:${id}/test`,
      },
      files: [train, validation, test].flatMap((file) => (file === null ? [] : [file.name])),
      split: validation === null ? { share: VALIDATION_SHARE, seed: request.seed } : null,
      bytes: files.reduce((sum, file) => sum + file.bytes.length, 0),
      created: Date.now(),
    };
    try {
      for (const file of files) await folder.write(file.name, [file.bytes]);
      if (validation === null) {
        const { problems, problem_count, notes } = parsed;
        await folder.writeJson(FINDINGS, { problems, problem_count, notes });
      }
      await folder.writeJson(ENTRY, entry);
    } catch (error) {
      await this.folder.remove(id);
      throw error;
    }
    return entry;
  }

  async delete(id: string): Promise<void> {
    await this.folder.remove(id);
  }

  /** @throws data.* */
  async inspect(reference: string): Promise<DatasetSummary> {
    const { name, bytes } = await this.sources.data(reference);
    const summary = summarise(parseDataset(bytes, name, { requireBothLabels: false }));
    return { ...summary, ...(await this.findings(reference)) };
  }

  /** What the file that a training split was taken from had to be told about; nothing for files stored as they were. */
  private async findings(reference: string): Promise<Partial<DatasetSummary>> {
    const id = /^imported:(.+)\/train$/.exec(reference)?.[1];
    const folder = id === undefined ? null : await this.folder.find(id);
    return (await folder?.readJson(FINDINGS, importFindings)) ?? {};
  }
}

async function readFile(file: File): Promise<DataFile> {
  try {
    return { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) };
  } catch (cause) {
    const reason = "the browser can no longer read it; it was moved or changed since it was chosen";
    throw new NagiError(
      "data.unreadable",
      `${file.name}: ${reason}. Choose it again.`,
      { file: file.name, reason },
      { cause },
    );
  }
}

function stored(split: Split, file: DataFile, { format }: ParsedDataset): SplitFile {
  return { split, name: `${split}.${format}`, bytes: file.bytes };
}

/** @throws data.* */
function checked(split: Split, file: DataFile): SplitFile {
  return stored(split, file, parseDataset(file.bytes, file.name));
}

/**
 * Sets aside a tenth of the rows for validation. All rows with one sentence go to the same side, or the validation rows
 * would have been trained on; each label gives its share.
 * @throws data.single_label, data.empty where too few rows are left for either side
 */
export function splitRows(rows: readonly Row[], file: string, seed: number): SplitFile[] {
  const random = Random.seeded(seed);
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.sentence);
    if (group === undefined) groups.set(row.sentence, [row]);
    else group.push(row);
  }
  const aside = new Set<string>();
  for (const label of ["positive", "negative"] as const) {
    const sentences = [...groups].filter(([, group]) => group[0]?.label === label).map(([sentence]) => sentence);
    const count = Math.max(1, Math.round(sentences.length * VALIDATION_SHARE));
    for (const sentence of random.shuffle(sentences).slice(0, count)) aside.add(sentence);
  }
  const sides = [
    { split: "train" as const, rows: rows.filter((row) => !aside.has(row.sentence)) },
    { split: "validation" as const, rows: rows.filter((row) => aside.has(row.sentence)) },
  ];
  return sides.map(({ split, rows: kept }) => {
    const text = kept.map((row) => `${JSON.stringify(row)}\n`).join("");
    // Both sides need both labels; the message names the person's file, not ours.
    parseDataset(text, `${file.replace(/\.[^.]*$/, "")}.jsonl`);
    return { split, name: `${split}.jsonl`, bytes: new TextEncoder().encode(text) };
  });
}

async function contentId(files: readonly SplitFile[]): Promise<string> {
  const parts: BlobPart[] = files.flatMap((file) => [`${file.name}:${file.bytes.length}:`, new Uint8Array(file.bytes)]);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer()));
  return Array.from(digest.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function summarise(parsed: ParsedDataset): DatasetSummary {
  const { rows } = parsed;
  // Characters as a reader counts them, not UTF-16 units.
  const lengths = rows.map((row) => [...row.sentence].length);
  const positive = rows.filter((row) => row.label === "positive").length;
  // Spread over the file, which is often sorted.
  const every = Math.max(1, Math.floor(rows.length / SAMPLES));
  const samples = rows.filter((_, i) => i % every === 0).slice(0, SAMPLES);
  return {
    rows: rows.length,
    positive,
    negative: rows.length - positive,
    histogram: histogram(lengths),
    mean_characters: lengths.length === 0 ? 0 : lengths.reduce((sum, length) => sum + length, 0) / lengths.length,
    max_characters: lengths.reduce((longest, length) => Math.max(longest, length), 0),
    duplicates: parsed.duplicates,
    problems: parsed.problems,
    problem_count: parsed.problem_count,
    notes: parsed.notes,
    samples: samples.map(({ sentence, label }) => ({ sentence, label })),
  };
}
