/** What can be said about the lines of a data file. */
import { z } from "zod";

/** Why a row was left out; `errors.data.*` of the same name where a whole file is refused for it. */
export const problemReason = z.enum(["not_json", "missing_column", "bad_label", "empty_sentence"]);

export const rowProblem = z.strictObject({
  /** Line of the file, from 1. */
  line: z.int(),
  reason: problemReason,
  /** The value or the columns that were found, shortened. */
  value: z.string(),
});

/** What the reader assumed: the text is not UTF-8; labels are numbers and 1 was taken for positive. */
export const datasetNote = z.enum(["not_utf8", "numeric_labels"]);

export type ProblemReason = z.infer<typeof problemReason>;
export type RowProblem = z.infer<typeof rowProblem>;
export type DatasetNote = z.infer<typeof datasetNote>;
