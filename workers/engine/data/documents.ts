/** Texts as a language model learns them: in a template, closed by EOS, and laid into rows of at most max_length tokens. */
import { NagiError } from "../../../src/shared/errors";
import { IGNORED, type PackedBatch, packTexts } from "./batches";
import type { Tokenizer } from "./tokenizer";

/** Where a row's text goes. */
export const SENTENCE = "{sentence}";

/** What stands before and after the text. */
export interface Template {
  readonly before: string;
  readonly after: string;
}

/** Throws config.invalid {file, path, problem, allowed} where the text's place is not there exactly once. */
export function parseTemplate(template: string): Template {
  const [before, after, ...more] = template.split(SENTENCE);
  if (before !== undefined && after !== undefined && more.length === 0) return { before, after };
  const problem = `${JSON.stringify(template)} holds ${SENTENCE} ${more.length === 0 ? "nowhere" : "more than once"}`;
  throw new NagiError("config.invalid", `template: ${problem}. Write it once, where a row's text belongs.`, {
    file: "config",
    path: "template",
    problem,
    allowed: `a text with ${SENTENCE} once`,
  });
}

/** A text's tokens. */
export interface Document {
  readonly ids: Int32Array;
  /** Tokens before this one are not learnt from. */
  readonly learnt_from: number;
  /** Run-on text, in which several stretches are not learnt from: 1 a token that is. */
  readonly learnt?: Uint8Array;
}

/**
 * A text in its template, EOS at the end. What stands before the text is encoded by itself: so it is at generation, when
 * it is all there is.
 */
export function encodeDocument(tokenizer: Tokenizer, { before, after }: Template, text: string): Document {
  const prefix = before === "" ? [] : tokenizer.encode(before);
  const ids = [...prefix, ...tokenizer.encode(text + after), tokenizer.eosId];
  return { ids: Int32Array.from(ids), learnt_from: prefix.length };
}

/** Texts that are trained on together and share the memory of one row. Each sees only itself. */
export interface PackedRow {
  readonly documents: readonly Document[];
  readonly tokens: number;
}

export type Packing = false | "bfd" | "wrapped";

/** Documents cut to a length: the end is lost, its EOS with it, as trl does. */
export function truncateDocuments(
  documents: readonly Document[],
  maxLength: number,
): { readonly documents: readonly Document[]; readonly truncated: number } {
  let truncated = 0;
  const cut = documents.map((document) => {
    if (document.ids.length <= maxLength) return document;
    truncated += 1;
    return { ...document, ids: document.ids.slice(0, maxLength) };
  });
  return { documents: cut, truncated };
}

/**
 * Lays documents into rows. false: one a row. bfd: by best fit, longest first (trl's "bfd"); the documents keep their
 * borders. wrapped: all run on from one to the next, EOS between them, and the stream is cut every `maxLength` tokens;
 * a row is then one text. Documents are at most `maxLength` long, except for wrapped.
 */
export function packRows(documents: readonly Document[], packing: Packing, maxLength: number): PackedRow[] {
  if (packing === "wrapped") return wrap(documents, maxLength);
  if (packing === "bfd") return bestFit(documents, maxLength);
  return documents.map((document) => ({ documents: [document], tokens: document.ids.length }));
}

function bestFit(documents: readonly Document[], maxLength: number): PackedRow[] {
  const order = [...documents].sort((a, b) => b.ids.length - a.ids.length);
  const rows: { documents: Document[]; tokens: number }[] = [];
  /** Rows by the room they have left. */
  const byRoom = Array.from({ length: maxLength + 1 }, (): number[] => []);
  for (const document of order) {
    const size = document.ids.length;
    let room = size;
    while (room <= maxLength && byRoom[room]?.length === 0) room += 1;
    const found = byRoom[room]?.shift();
    const row = found === undefined ? undefined : rows[found];
    if (found === undefined || row === undefined) {
      byRoom[maxLength - size]?.push(rows.length);
      rows.push({ documents: [document], tokens: size });
    } else {
      row.documents.push(document);
      row.tokens += size;
      byRoom[room - size]?.push(found);
    }
  }
  return rows;
}

function wrap(documents: readonly Document[], maxLength: number): PackedRow[] {
  const total = documents.reduce((sum, { ids }) => sum + ids.length, 0);
  const stream = new Int32Array(total);
  const learnt = new Uint8Array(total);
  let end = 0;
  for (const { ids, learnt_from } of documents) {
    stream.set(ids, end);
    learnt.fill(1, end + learnt_from, end + ids.length);
    end += ids.length;
  }
  const rows: PackedRow[] = [];
  for (let start = 0; start < total; start += maxLength) {
    const ids = stream.slice(start, start + maxLength);
    const row = { ids, learnt_from: 0, learnt: learnt.slice(start, start + ids.length) };
    rows.push({ documents: [row], tokens: ids.length });
  }
  return rows;
}

/** Documents as one stream with targets: the token that follows, where it is learnt from. */
export function packDocuments(documents: readonly Document[]): PackedBatch {
  const batch = packTexts(
    documents.map(({ ids }) => ids),
    { targets: true },
  );
  const { targets } = batch;
  if (!targets) throw new Error("targets were asked for");
  let start = 0;
  for (const document of documents) {
    for (let token = 0; token < document.ids.length; token++)
      if (!isLearnt(document, token + 1)) targets[start + token] = IGNORED;
    start += document.ids.length;
  }
  return batch;
}

const isLearnt = ({ ids, learnt_from, learnt }: Document, token: number): boolean =>
  token < ids.length && token >= learnt_from && (learnt === undefined || learnt[token] === 1);

/** Tokens of a document whose prediction counts: the first of a text has nothing before it. */
export function countLearnt(document: Document): number {
  let count = 0;
  for (let token = 1; token < document.ids.length; token++) if (isLearnt(document, token)) count += 1;
  return count;
}
