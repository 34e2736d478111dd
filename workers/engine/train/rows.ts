/** Data files as a run uses them: labelled texts in token ids, each closed by EOS. */
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

/**
 * Parses and tokenises a run's files. Rows longer than `maxLength` tokens are cut before their EOS. Every file needs
 * both labels. Throws data.* with the file and the line.
 */
export async function readSplits(data: StageInput["data"], tokenizer: Tokenizer, maxLength: number): Promise<Splits> {
  // All files are parsed before the first is encoded: what is wrong with them is said at once.
  const parse = (file: DataFile) => parseDataset(file.bytes, file.name).rows;
  const [train, validation, test] = [parse(data.train), parse(data.validation), data.test && parse(data.test)];
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
