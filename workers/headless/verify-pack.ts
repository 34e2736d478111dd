/** Padded batches of a verify case as token streams, with transformers' rules for positions, targets and pooling. */
import { IGNORED, type PackedBatch } from "../engine/data/batches";
import { type CaseBatch, invalid, type VerifyCase } from "./verify-case";

export interface PackedCase {
  readonly packed: PackedBatch;
  /** Index in the padded batch, row * T + column, of each token of the stream. */
  readonly places: Int32Array;
  /** B and T of the padded batch. */
  readonly rows: number;
  readonly columns: number;
}

/**
 * Lays the real tokens of all rows one after another.
 * @param pad_token_id decides which token of a row a score is taken from, as in GPTNeoXForSequenceClassification.
 * Throws case.invalid {file, field, problem} where the case asks for something a stream cannot hold.
 */
export function packCase(
  batch: CaseBatch,
  task: VerifyCase["task"],
  pad_token_id: number | null,
  file: string,
): PackedCase {
  const rows = batch.input_ids.length;
  const columns = batch.input_ids[0]?.length ?? 0;
  const tokens: { id: number; place: number; start: number; end: number; target: number }[] = [];
  const last_index: number[] = [];
  for (const [index, row] of batch.input_ids.entries()) {
    const mask = batch.attention_mask[index] ?? [];
    const start = tokens.length;
    const end = start + mask.filter(Boolean).length;
    if (task === "reward") last_index.push(start + pooledToken(row, mask, pad_token_id, index, file));
    for (const [column, id] of row.entries()) {
      // transformers predicts labels[t + 1] from token t, whatever the mask says of t + 1.
      const target = batch.token_labels?.[index]?.[column + 1] ?? IGNORED;
      if (mask[column]) tokens.push({ id, place: index * columns + column, start, end, target });
      else if (target !== IGNORED)
        throw invalid(
          file,
          "labels",
          `row ${index}: the label at ${column + 1} follows a masked token, nothing predicts it`,
        );
    }
  }
  if (tokens.length === 0) throw invalid(file, "attention_mask", "masks every token");
  const packed: PackedBatch = {
    input_ids: Int32Array.from(tokens, ({ id }) => id),
    // transformers counts positions by column, masked or not.
    position_ids: Int32Array.from(tokens, ({ place }) => place % columns),
    segment_start: Int32Array.from(tokens, ({ start }) => start),
    segment_end: Int32Array.from(tokens, ({ end }) => end),
    ...(batch.token_labels ? { targets: Int32Array.from(tokens, ({ target }) => target) } : {}),
    ...(task === "reward" ? { last_index: Int32Array.from(last_index) } : {}),
    ...(batch.labels ? { labels: Int32Array.from(batch.labels) } : {}),
  };
  return { packed, places: Int32Array.from(tokens, ({ place }) => place), rows, columns };
}

/**
 * Which real token of a row is judged, counted among its real tokens: transformers takes the rightmost token that is not
 * the padding id; where that one is masked, the last token that is not.
 */
function pooledToken(
  row: readonly number[],
  mask: readonly boolean[],
  pad_token_id: number | null,
  index: number,
  file: string,
): number {
  const lastReal = mask.lastIndexOf(true);
  if (lastReal < 0) throw invalid(file, "attention_mask", `masks every token of row ${index}, which then has no score`);
  const notPadding =
    pad_token_id === null
      ? row.length - 1
      : Math.max(
          0,
          row.findLastIndex((id) => id !== pad_token_id),
        );
  const column = mask[notPadding] ? notPadding : lastReal;
  return mask.slice(0, column).filter(Boolean).length;
}
