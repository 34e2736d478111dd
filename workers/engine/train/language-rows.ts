/** Data files as a language model learns them: the rows' texts in a template, packed. */
import { NagiError } from "../../../src/shared/errors";
import type { SftStageConfig } from "../../../src/shared/protocol/config";
import {
  countLearnt,
  type Document,
  encodeDocument,
  type PackedRow,
  packRows,
  parseTemplate,
  truncateDocuments,
} from "../data/documents";
import { parseDataset, type Row } from "../data/formats";
import type { BaseDescription } from "./base";
import type { DataFile, StageInput } from "./stage";

export interface LanguageRows {
  readonly train: readonly PackedRow[];
  readonly validation: readonly PackedRow[];
  /** Of the files, after the selection by label. */
  readonly train_rows: number;
  readonly validation_rows: number;
  /** Over both. */
  readonly truncated_rows: number;
  /** Sentences of the validation rows, for prompts. */
  readonly validation_texts: readonly string[];
}

/** How long the thread may go without looking at its messages, in milliseconds. */
const TURN = 30;

/**
 * Reads, encodes and packs the training and validation rows of a stage. Throws data.*, config.invalid for a template
 * without its place, data.empty where no row has the wanted label or nothing would be learnt from.
 */
export async function readLanguageRows(
  data: StageInput["data"],
  config: Pick<SftStageConfig, "labels" | "template" | "completion_only_loss" | "packing" | "max_length">,
  { tokenizer, config: neox }: Pick<BaseDescription, "tokenizer" | "config">,
): Promise<LanguageRows> {
  const template = parseTemplate(config.template);
  const maxLength = Math.min(config.max_length, neox.max_position_embeddings);
  const parsed = [data.train, data.validation].map((file) => wantedRows(file, config.labels));
  const encode = async (rows: readonly Row[]): Promise<Document[]> => {
    const documents: Document[] = [];
    let turned = Date.now();
    for (const { sentence } of rows) {
      const document = encodeDocument(tokenizer, template, sentence);
      documents.push(config.completion_only_loss ? document : { ...document, learnt_from: 0 });
      if (Date.now() - turned < TURN) continue;
      await new Promise((resolve) => setTimeout(resolve, 0));
      turned = Date.now();
    }
    return documents;
  };
  const [train = [], validation = []] = [await encode(parsed[0] ?? []), await encode(parsed[1] ?? [])];
  const [cutTrain, cutValidation] = [train, validation].map((documents) => truncateDocuments(documents, maxLength));
  if (!cutTrain || !cutValidation) throw new Error("two files were read");
  // Run-on text is cut by rows, not by texts.
  const wrapped = config.packing === "wrapped";
  const rows = packRows(wrapped ? train : cutTrain.documents, config.packing, maxLength);
  const learning = rows.filter(learns);
  const judging = packRows(cutValidation.documents, "bfd", maxLength).filter(learns);
  for (const [file, kept] of [
    [data.train, learning],
    [data.validation, judging],
  ] as const)
    if (kept.length === 0) throw nothingToLearn(file);
  return {
    train: learning,
    validation: judging,
    train_rows: train.length,
    validation_rows: validation.length,
    truncated_rows: (wrapped ? 0 : cutTrain.truncated) + cutValidation.truncated,
    validation_texts: (parsed[1] ?? []).map(({ sentence }) => sentence),
  };
}

/** A step of rows without a token to learn from would have no loss. */
const learns = (row: PackedRow): boolean => row.documents.some((document) => countLearnt(document) > 0);

function wantedRows(file: DataFile, labels: SftStageConfig["labels"]): readonly Row[] {
  const { rows } = parseDataset(file.bytes, file.name, { requireBothLabels: false });
  const kept = labels === "all" ? rows : rows.filter(({ label }) => label === labels);
  if (kept.length > 0) return kept;
  throw new NagiError("data.empty", `${file.name} has no ${labels} rows. Choose another file, or labels "all".`, {
    file: file.name,
  });
}

function nothingToLearn({ name }: DataFile): NagiError {
  return new NagiError(
    "data.empty",
    `${name}: no text has a token to learn from within max_length. Raise max_length, or shorten the template.`,
    { file: name },
  );
}
