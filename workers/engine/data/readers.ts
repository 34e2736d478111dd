/** Turn text into raw rows with their line numbers: one reader for JSONL, one for CSV and TSV. */
import Papa from "papaparse";
import { NagiError } from "../../../src/shared/errors";
import type { ProblemReason } from "../../../src/shared/protocol/dataset";
import { countLines, unreadable } from "./text";

/** A row's fields by column, or why there are none. */
export type RawRow =
  | { readonly line: number; readonly fields: Fields; readonly columns: readonly string[] }
  | {
      readonly line: number;
      readonly fields: null;
      readonly reason: Extract<ProblemReason, "not_json" | "missing_column">;
      readonly value: string;
    };

export interface Fields {
  readonly sentence?: unknown;
  readonly label?: unknown;
  readonly review_id?: unknown;
}

export type RowReader = (text: string, use: (row: RawRow) => void) => void;

/** One JSON object a line; blank lines are skipped. */
export const readJsonLines: RowReader = (text, use) => {
  let line = 0;
  for (let start = 0; start <= text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline;
    const content = text.slice(start, end).trim();
    start = end + 1;
    line++;
    if (content !== "") use(parseLine(content, line));
  }
};

function parseLine(content: string, line: number): RawRow {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return { line, fields: null, reason: "not_json", value: content };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { line, fields: null, reason: "not_json", value: content };
  }
  return { line, fields: value, columns: Object.keys(value) };
}

/**
 * CSV or TSV with a header line; quoted fields may hold delimiters, doubled quotes and newlines. Throws
 * data.missing_column for the header, data.unreadable for a quote that is never closed.
 */
export function readDelimited(text: string, format: "csv" | "tsv", file: string, use: (row: RawRow) => void): void {
  let columns: string[] | null = null;
  let line = 1;
  let consumed = 0;
  Papa.parse<string[]>(text, {
    delimiter: format === "csv" ? "," : "\t",
    newline: "\n",
    // The fast path splits at every newline and reports positions the same way, but only without quotes.
    fastMode: !text.includes('"'),
    step: ({ data, errors, meta }) => {
      const start = line;
      line += countLines(text.slice(consumed, meta.cursor));
      consumed = meta.cursor;
      const quote = errors.find(({ type }) => type === "Quotes");
      if (quote) throw unreadable(file, "a quotation mark is opened and never closed, or closed in mid-field", start);
      if (data.length === 1 && (data[0] ?? "").trim() === "") return;
      if (!columns) {
        columns = data.map((name) => name.trim());
        checkHeader(columns, file, start);
      } else use(toRow(data, columns, start));
    },
  });
}

/** data.missing_column: details { file, line, value and found (the columns there are), count, total }. */
function checkHeader(columns: readonly string[], file: string, line: number): void {
  const missing = ["sentence", "label"].filter((name) => !columns.includes(name));
  if (missing.length === 0) return;
  const found = columns.join(", ");
  throw new NagiError(
    "data.missing_column",
    `${file}, line ${line}: the header has no column ${missing.join(" and no ")}; found: ${found}. Name the columns sentence and label.`,
    { file, line, value: found, found, count: 0, total: 0 },
  );
}

function toRow(data: readonly string[], columns: readonly string[], line: number): RawRow {
  if (data.length !== columns.length) {
    const value = `${data.length} fields for ${columns.length} columns`;
    return { line, fields: null, reason: "missing_column", value };
  }
  const fields = {
    sentence: data[columns.indexOf("sentence")],
    label: data[columns.indexOf("label")],
    review_id: data[columns.indexOf("review_id")],
  };
  return { line, fields, columns };
}
