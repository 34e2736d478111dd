/**
 * Data files of the studio: JSONL, CSV and TSV with `sentence`, `label` and, if wanted, `review_id`. Reading is strict
 * about what it cannot understand and says where that is; a few broken rows are left out and counted.
 */
import { NagiError } from "../../../src/shared/errors";
import type { DatasetNote, ProblemReason, RowProblem } from "../../../src/shared/protocol/dataset";
import { isNumericLabel, LABEL_HELP, type Label, parseLabel } from "./labels";
import { type RawRow, type RowReader, readDelimited, readJsonLines } from "./readers";
import { decodeText, type Encoding, normaliseText } from "./text";

export interface Row {
  readonly sentence: string;
  readonly label: Label;
  readonly review_id: string | null;
}

export type DatasetFormat = "jsonl" | "csv" | "tsv";

export interface ParsedDataset {
  readonly rows: readonly Row[];
  readonly format: DatasetFormat;
  readonly encoding: Encoding;
  readonly notes: readonly DatasetNote[];
  /** The first hundred. */
  readonly problems: readonly RowProblem[];
  readonly problem_count: number;
  /** Rows whose sentence an earlier row already had; they are kept. */
  readonly duplicates: number;
}

export interface ParseOptions {
  /** Refuse a file in which every row has the same label. Default true. */
  readonly requireBothLabels?: boolean;
}

/** Above this share of broken rows the file is not what it seems, and reading on would hide that. */
export const MAX_PROBLEM_SHARE = 0.05;
const LISTED_PROBLEMS = 100;
const SHORT = 60;

const shorten = (text: string): string => (text.length > SHORT ? `${text.slice(0, SHORT)}…` : text);

/**
 * Reads a data file. Throws data.empty, data.unreadable, data.unknown_format, data.not_json, data.missing_column,
 * data.bad_label or data.single_label.
 */
export function parseDataset(input: string | Uint8Array, file: string, options: ParseOptions = {}): ParsedDataset {
  const decoded =
    typeof input === "string" ? { text: normaliseText(input), encoding: "utf-8" as const } : decodeText(input, file);
  const { text, encoding } = decoded;
  if (text.trim() === "") throw empty(file);
  const format = detectFormat(text, file);
  const reader: RowReader = format === "jsonl" ? readJsonLines : (body, use) => readDelimited(body, format, file, use);
  const collector = new Collector();
  reader(text, (raw) => collector.add(raw));
  const { rows, problems, problemCount, duplicates, numericLabels } = collector;
  const total = rows.length + problemCount;
  if (total === 0) throw empty(file);
  const first = problems[0];
  if (first && problemCount > total * MAX_PROBLEM_SHARE) throw refused(file, first, problemCount, total);
  checkBothLabels(rows, file, options.requireBothLabels ?? true);
  const notes: DatasetNote[] = [];
  if (encoding !== "utf-8") notes.push("not_utf8");
  if (numericLabels) notes.push("numeric_labels");
  return { rows, format, encoding, notes, problems, problem_count: problemCount, duplicates };
}

/** data.empty: details { file }. */
function empty(file: string): NagiError {
  return new NagiError("data.empty", `${file} has no rows. Choose a file with the columns sentence and label.`, {
    file,
  });
}

/** By the file's ending; by its first line where the ending says nothing. */
function detectFormat(text: string, file: string): DatasetFormat {
  const ending = /\.([^./\\]+)$/.exec(file)?.[1]?.toLowerCase();
  if (ending === "jsonl" || ending === "ndjson" || ending === "json") return "jsonl";
  if (ending === "csv" || ending === "tsv") return ending;
  if (ending === "tab") return "tsv";
  const start = text.trimStart();
  const firstLine = start.split("\n", 1)[0] ?? "";
  if (firstLine.startsWith("{")) return "jsonl";
  if (firstLine.includes("\t")) return "tsv";
  if (firstLine.includes(",")) return "csv";
  // data.unknown_format: details { file }.
  throw new NagiError(
    "data.unknown_format",
    `${file} is neither JSONL nor CSV nor TSV. Name it .jsonl, .csv or .tsv and give it the columns sentence and label.`,
    { file },
  );
}

class Collector {
  readonly rows: Row[] = [];
  readonly problems: RowProblem[] = [];
  problemCount = 0;
  duplicates = 0;
  numericLabels = false;
  private readonly seen = new Set<string>();

  add(raw: RawRow): void {
    if (!raw.fields) {
      this.problem(raw.line, raw.reason, raw.value);
      return;
    }
    const { sentence, label, review_id: id } = raw.fields;
    if (typeof sentence !== "string" || label === undefined || label === null) {
      const wrongType = sentence !== undefined && typeof sentence !== "string";
      this.problem(raw.line, "missing_column", wrongType ? "a sentence that is not text" : raw.columns.join(", "));
      return;
    }
    if (sentence.trim() === "") {
      this.problem(raw.line, "empty_sentence", "");
      return;
    }
    const known = parseLabel(label);
    if (!known) {
      this.problem(raw.line, "bad_label", typeof label === "string" ? label : JSON.stringify(label));
      return;
    }
    if (isNumericLabel(label)) this.numericLabels = true;
    if (this.seen.has(sentence)) this.duplicates++;
    else this.seen.add(sentence);
    const reviewId = typeof id === "string" && id !== "" ? id : typeof id === "number" ? String(id) : null;
    this.rows.push({ sentence, label: known, review_id: reviewId });
  }

  private problem(line: number, reason: ProblemReason, value: string): void {
    this.problemCount++;
    if (this.problems.length < LISTED_PROBLEMS) this.problems.push({ line, reason, value: shorten(value) });
  }
}

/** The error for a file with too many broken rows, by its first one: details { file, line, value, count, total }. */
function refused(file: string, { line, reason, value }: RowProblem, count: number, total: number): NagiError {
  const details = { file, line, value, count, total };
  const place = `${file}, line ${line}`;
  const share = `${count} of ${total} rows ${count === 1 ? "is" : "are"} unusable`;
  switch (reason) {
    case "not_json":
      return new NagiError(
        "data.not_json",
        `${place}: is not a JSON object: ${value} (${share}). Write one object a line: {"sentence": "...", "label": "positive"}.`,
        details,
      );
    case "missing_column":
    case "empty_sentence":
      return new NagiError(
        "data.missing_column",
        `${place}: needs a sentence and a label, found: ${value || "an empty sentence"} (${share}). Rename the columns to sentence and label.`,
        { ...details, found: value || "sentence (empty)" },
      );
    case "bad_label":
      return new NagiError(
        "data.bad_label",
        `${place}: the label ${JSON.stringify(value)} is unknown (${share}). Allowed: ${LABEL_HELP}. Rename or remove other labels.`,
        { ...details, allowed: LABEL_HELP },
      );
  }
}

/** data.single_label: details { file, label, rows }. */
function checkBothLabels(rows: readonly Row[], file: string, required: boolean): void {
  const label = rows[0]?.label;
  if (!required || label === undefined || rows.some((row) => row.label !== label)) return;
  throw new NagiError(
    "data.single_label",
    `${file}: all ${rows.length} rows are ${label}. Add rows with the other label: there is nothing to tell apart.`,
    { file, label, rows: rows.length },
  );
}
