import { describe, expect, it } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import { Random } from "../../../src/shared/stats/random";
import { IGNORED } from "./batches";
import {
  countLearnt,
  type Document,
  encodeDocument,
  packDocuments,
  packRows,
  parseTemplate,
  truncateDocuments,
} from "./documents";
import type { Tokenizer } from "./tokenizer";

/** A token a character; EOS is 0. */
const tokenizer: Tokenizer = {
  encode: (text) => Array.from(text, (character) => character.codePointAt(0) ?? 0),
  decode: (ids) => String.fromCodePoint(...ids),
  eosId: 0,
  padId: 1,
  vocabSize: 0x11_0000,
};
const document = (length: number, first: number, learnt_from = 0): Document => ({
  ids: Int32Array.from({ length }, (_, index) => first + index),
  learnt_from,
});

describe("parseTemplate", () => {
  it("splits where the text goes", () => {
    expect(parseTemplate("レビュー：{sentence}。")).toEqual({ before: "レビュー：", after: "。" });
  });
  it.each(["レビュー", "{sentence}{sentence}", "{Sentence}"])("refuses %s", (template) => {
    expect(() => parseTemplate(template)).toThrow(NagiError);
  });
});

describe("encodeDocument", () => {
  it("ends with EOS and knows where the text begins", () => {
    const { ids, learnt_from } = encodeDocument(tokenizer, parseTemplate("ab{sentence}z"), "cd");
    expect(tokenizer.decode([...ids])).toBe("abcdz\0");
    expect(learnt_from).toBe(2);
  });
});

describe("truncateDocuments", () => {
  it("cuts the end and counts", () => {
    const { documents, truncated } = truncateDocuments([document(5, 10), document(3, 20)], 4);
    expect(documents.map(({ ids }) => [...ids])).toEqual([
      [10, 11, 12, 13],
      [20, 21, 22],
    ]);
    expect(truncated).toBe(1);
  });
});

describe("packRows", () => {
  const random = Random.seeded(1);
  const documents = Array.from({ length: 200 }, (_, index) => document(1 + random.below(20), 100 * index));

  it("keeps every document once, in rows that fit", () => {
    const rows = packRows(documents, "bfd", 24);
    for (const row of rows) {
      expect(row.tokens).toBeLessThanOrEqual(24);
      expect(row.tokens).toBe(row.documents.reduce((sum, { ids }) => sum + ids.length, 0));
    }
    const first = (one: Document) => one.ids[0] ?? -1;
    const packed = rows.flatMap((row) => row.documents.map(first)).sort((a, b) => a - b);
    expect(packed).toEqual(documents.map(first));
    const tokens = documents.reduce((sum, { ids }) => sum + ids.length, 0);
    // Best fit decreasing needs at most 11/9 of the best there is, and a row.
    expect(rows.length).toBeLessThanOrEqual(Math.ceil((11 / 9) * (tokens / 24)) + 1);
  });

  it("puts a document where it leaves the least room", () => {
    const rows = packRows([document(7, 100), document(6, 200), document(3, 300), document(4, 400)], "bfd", 10);
    expect(rows.map((row) => row.documents.map(({ ids }) => ids[0]))).toEqual([
      [100, 300],
      [200, 400],
    ]);
  });

  it("lays one a row without packing", () => {
    expect(packRows(documents, false, 24).map(({ tokens }) => tokens)).toEqual(documents.map(({ ids }) => ids.length));
  });

  it("runs on and cuts when wrapped, learning what the documents learn", () => {
    const rows = packRows([document(3, 10), document(4, 20, 2)], "wrapped", 4);
    const batch = packDocuments(rows.flatMap((row) => row.documents));
    expect([...batch.input_ids]).toEqual([10, 11, 12, 20, 21, 22, 23]);
    expect([...batch.segment_start]).toEqual([0, 0, 0, 0, 4, 4, 4]);
    // 20 and 21 are the second document's prompt; 22 follows 21 in the same row.
    expect([...(batch.targets ?? [])]).toEqual([11, 12, IGNORED, IGNORED, 22, 23, IGNORED]);
    expect(rows.flatMap((row) => row.documents.map(countLearnt))).toEqual([2, 2]);
  });
});

describe("packDocuments", () => {
  it("isolates documents and leaves prompts out of the loss", () => {
    const documents = [document(4, 10, 2), document(2, 20), document(3, 30, 3)];
    const batch = packDocuments(documents);
    expect([...batch.segment_start]).toEqual([0, 0, 0, 0, 4, 4, 6, 6, 6]);
    expect([...batch.position_ids]).toEqual([0, 1, 2, 3, 0, 1, 0, 1, 2]);
    expect([...(batch.targets ?? [])]).toEqual([IGNORED, 12, 13, IGNORED, 21, IGNORED, IGNORED, IGNORED, IGNORED]);
    expect(documents.map(countLearnt)).toEqual([2, 1, 0]);
  });
});
