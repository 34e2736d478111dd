/** Data files as a run uses them: labelled texts in token ids, each closed by EOS. */
import { NagiError } from "../../../src/shared/errors";
import type { RowsConfig } from "../../../src/shared/protocol/config";
import { encodeTexts } from "../data/batches";
import { parseDataset, type Row } from "../data/formats";
import type { Tokenizer } from "../data/tokenizer";
import type { DataFile, StageInput } from "./stage";

export interface Split {
  readonly rows: readonly Row[];
  /** Token ids of each row, EOS included. */
  readonly ids: readonly Int32Array[];
  /** Tokens of each row. */
  readonly lengths: Int32Array;
  /** 1 positive, 0 negative. */
  readonly labels: Uint8Array;
  /** Whether the row was longer than the limit. */
  readonly truncated: readonly boolean[];
}

export interface Splits {
  readonly train: Split;
  readonly validation: Split;
  readonly test: Split | null;
}

export interface RowOptions {
  /** Tokens a row, EOS included. */
  readonly maxLength: number;
  /** The part of the training rows that is used; null: all. */
  readonly rows: RowsConfig | null;
  /** Of the run. */
  readonly seed: number;
}

/**
 * Parses and tokenises a run's files. Rows longer than `maxLength` tokens are cut before their EOS. Every file needs
 * both labels. Throws data.* with the file and the line.
 */
export async function readSplits(data: StageInput["data"], tokenizer: Tokenizer, options: RowOptions): Promise<Splits> {
  const { maxLength, rows: part, seed } = options;
  // All files are parsed before the first is encoded: what is wrong with them is said at once.
  const parse = (file: DataFile) => parseDataset(file.bytes, file.name).rows;
  const train = rowsOfPart(parse(data.train), part, seed, data.train.name);
  const [validation, test] = [parse(data.validation), data.test && parse(data.test)];
  const encode = async (rows: readonly Row[]): Promise<Split> => {
    const { ids, truncated } = await encodeTexts(
      tokenizer,
      rows.map((row) => row.sentence),
      maxLength,
    );
    return {
      rows,
      ids,
      lengths: Int32Array.from(ids, (one) => one.length),
      labels: Uint8Array.from(rows, (row) => (row.label === "positive" ? 1 : 0)),
      truncated,
    };
  };
  return { train: await encode(train), validation: await encode(validation), test: test && (await encode(test)) };
}

/**
 * The rows whose text falls into a part: a hash of text and seed decides, so that equal texts are together and every
 * part is a random sample. Throws data.single_label and data.empty where the part has not both labels.
 */
export function rowsOfPart(rows: readonly Row[], part: RowsConfig | null, seed: number, file: string): readonly Row[] {
  if (part === null) return rows;
  const kept = rows.filter(({ sentence }) => textHash(sentence, seed) % part.of === part.part);
  const [first] = kept;
  if (first === undefined)
    throw new NagiError("data.empty", `${file}: part ${part.part} of ${part.of} has no rows. Use fewer parts.`, {
      file,
    });
  if (kept.every(({ label }) => label === first.label))
    throw new NagiError(
      "data.single_label",
      `${file}: all ${kept.length} rows of part ${part.part} of ${part.of} are ${first.label}. Use fewer parts.`,
      { file, label: first.label, rows: kept.length },
    );
  return kept;
}

/** 32 bits that depend on every character: FNV-1a over UTF-16 code units, then SplitMix32's mixing. */
function textHash(text: string, seed: number): number {
  let hash = (0x811c_9dc5 ^ seed) >>> 0;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0_aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a_2d97);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** Some rows of a split, in the order of `indices`. */
export function pick(split: Split, indices: readonly number[]): Split {
  const rows: Row[] = [];
  const ids: Int32Array[] = [];
  for (const index of indices) {
    const [row, one] = [split.rows[index], split.ids[index]];
    if (!row || !one) throw new RangeError(`no row ${index}`);
    rows.push(row);
    ids.push(one);
  }
  return {
    rows,
    ids,
    lengths: Int32Array.from(ids, (one) => one.length),
    labels: Uint8Array.from(indices, (index) => split.labels[index] ?? 0),
    truncated: indices.map((index) => split.truncated[index] ?? false),
  };
}
