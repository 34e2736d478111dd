import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import { type ParsedDataset, parseDataset } from "./formats";

function failure(input: string | Uint8Array, file: string): NagiError {
  try {
    parseDataset(input, file);
  } catch (error) {
    if (error instanceof NagiError) return error;
    throw error;
  }
  return expect.fail(`${file} was accepted`);
}

const good: string = '{"sentence": "良い", "label": "positive", "review_id": "a"}';
const poor: string = '{"sentence": "悪い", "label": "negative"}';
const sentences = ({ rows }: ParsedDataset) => rows.map(({ sentence }) => sentence);
const utf8 = (text: string) => new TextEncoder().encode(text);

describe("what is read", () => {
  it("JSONL, with and without review_id, other fields ignored", () => {
    const { rows, format, problems } = parseDataset(`${good}\n${poor}\n`, "a.jsonl");
    expect(rows).toEqual([
      { sentence: "良い", label: "positive", review_id: "a" },
      { sentence: "悪い", label: "negative", review_id: null },
    ]);
    expect(format).toBe("jsonl");
    expect(problems).toEqual([]);
  });

  it("a byte order mark, CRLF, blank and trailing blank lines", () => {
    const text = `\ufeff${good}\r\n\r\n${poor}\r\n\r\n\r\n`;
    expect(sentences(parseDataset(text, "a.jsonl"))).toEqual(["良い", "悪い"]);
    expect(sentences(parseDataset(utf8(text), "a.jsonl"))).toEqual(["良い", "悪い"]);
  });

  it("CSV with quotes, delimiters and newlines inside quotes, any column order", () => {
    const text = 'label,x,sentence\r\n1,a,"一行目\r\n二行目, ""引用"""\r\n0,b,短い\r\n\r\n';
    const { rows, format, notes } = parseDataset(text, "a.CSV");
    expect(rows.map(({ sentence, label }) => [sentence, label])).toEqual([
      ['一行目\n二行目, "引用"', "positive"],
      ["短い", "negative"],
    ]);
    expect(format).toBe("csv");
    expect(notes).toEqual(["numeric_labels"]);
  });

  it("TSV", () => {
    const { rows, format } = parseDataset("sentence\tlabel\treview_id\nあ,い\t肯定\t7\nう\t否定\t\n", "a.tsv");
    expect(rows).toEqual([
      { sentence: "あ,い", label: "positive", review_id: "7" },
      { sentence: "う", label: "negative", review_id: null },
    ]);
    expect(format).toBe("tsv");
  });

  it("every synonym of the labels", () => {
    const positive = ["positive", " Positive ", "pos", 1, "1", "1.0", true, "肯定", "ポジティブ"];
    const negative = ["negative", "NEG", 0, "0", "0.0", false, "否定", "ネガティブ"];
    const lines = [...positive, ...negative].map((label, i) => JSON.stringify({ sentence: `文${i}`, label }));
    const { rows } = parseDataset(lines.join("\n"), "a.jsonl");
    expect(rows.map(({ label }) => label)).toEqual([
      ...positive.map(() => "positive"),
      ...negative.map(() => "negative"),
    ]);
  });

  it("a format without an ending, by its first line", () => {
    expect(parseDataset(`${good}\n${poor}`, "data").format).toBe("jsonl");
    expect(parseDataset("sentence\tlabel\na\t1\nb\t0", "data.txt").format).toBe("tsv");
    expect(parseDataset("sentence,label\na,1\nb,0", "data.txt").format).toBe("csv");
  });

  it("duplicates are kept and counted", () => {
    const { rows, duplicates } = parseDataset([good, good, poor, good].join("\n"), "a.jsonl");
    expect([rows.length, duplicates]).toEqual([4, 2]);
  });

  it("a few broken rows are left out, counted and named by line", () => {
    const lines = Array.from({ length: 200 }, (_, i) => (i % 2 ? good : poor));
    lines[9] = "{broken";
    lines[19] = '{"sentence": "中立", "label": "neutral"}';
    lines[29] = '{"text": "列名が違う", "label": 1}';
    lines[39] = '{"sentence": "  ", "label": 1}';
    lines[49] = "[1, 2]";
    const { rows, problems, problem_count: count } = parseDataset(lines.join("\n"), "a.jsonl");
    expect(rows.length).toBe(195);
    expect(count).toBe(5);
    expect(problems).toEqual([
      { line: 10, reason: "not_json", value: "{broken" },
      { line: 20, reason: "bad_label", value: "neutral" },
      { line: 30, reason: "missing_column", value: "text, label" },
      { line: 40, reason: "empty_sentence", value: "" },
      { line: 50, reason: "not_json", value: "[1, 2]" },
    ]);
  });

  it("line numbers of CSV rows count newlines inside quotes", () => {
    const rows = Array.from({ length: 60 }, (_, i) => `"a\nb${i}",${i % 2}`);
    rows[30] = "中立,neutral";
    const { problems } = parseDataset(`sentence,label\n${rows.join("\n")}\n`, "a.csv");
    expect(problems).toEqual([{ line: 62, reason: "bad_label", value: "neutral" }]);
  });

  it("a hundred thousand rows quickly, at most a hundred problems listed", () => {
    const lines = Array.from({ length: 100_000 }, (_, i) =>
      JSON.stringify({ sentence: `商品${i}が届いた`, label: i % 2 }),
    );
    for (let i = 0; i < 4000; i++) lines[i * 25] = "x";
    const csv = ["sentence,label", ...lines.map((_, i) => `"商品${i},\n""届いた""",${i % 2}`)].join("\n");
    const start = process.cpuUsage();
    const parsed = parseDataset(lines.join("\n"), "a.jsonl");
    expect([parsed.rows.length, parsed.problems.length, parsed.problem_count]).toEqual([96_000, 100, 4000]);
    expect(parseDataset(csv, "a.csv").rows.length).toBe(100_000);
    expect(process.cpuUsage(start).user / 1e6).toBeLessThan(12);
  }, 120_000);
});

describe("encodings", () => {
  // 文,label of each encoding's own bytes: "sentence,label\n良い,1\n悪い,0\n" by Python's str.encode.
  const header = utf8("sentence,label\n");
  const rows = (good: number[], poor: number[]) =>
    Uint8Array.from([...header, ...good, ...utf8(",1\n"), ...poor, ...utf8(",0\n")]);

  it("Shift_JIS, with a note", () => {
    const bytes = rows([0x97, 0xc7, 0x82, 0xa2], [0x88, 0xab, 0x82, 0xa2]);
    const parsed = parseDataset(bytes, "a.csv");
    expect(sentences(parsed)).toEqual(["良い", "悪い"]);
    expect([parsed.encoding, parsed.notes]).toEqual(["shift_jis", ["not_utf8", "numeric_labels"]]);
  });

  it("EUC-JP, which is often valid Shift_JIS as well", () => {
    const parsed = parseDataset(rows([0xce, 0xc9, 0xa4, 0xa4], [0xb0, 0xad, 0xa4, 0xa4]), "a.csv");
    expect([sentences(parsed), parsed.encoding]).toEqual([["良い", "悪い"], "euc-jp"]);
  });

  it("UTF-16 as Excel's Unicode text", () => {
    const text = "\ufeffsentence\tlabel\r\n良い\t1\r\n悪い\t0\r\n";
    const little = new Uint8Array(text.length * 2);
    for (let i = 0; i < text.length; i++) new DataView(little.buffer).setUint16(2 * i, text.charCodeAt(i), true);
    expect(sentences(parseDataset(little, "a.tsv"))).toEqual(["良い", "悪い"]);
  });

  it("bytes of no encoding are refused with the line", () => {
    const bytes = Uint8Array.from([...utf8(`${good}\n`), 0xff, 0xff, 0xfd, 0x80, 0x0a]);
    const error = failure(bytes, "a.jsonl");
    expect(error.code).toBe("data.unreadable");
    expect(error.details).toMatchObject({ file: "a.jsonl", line: 2 });
  });

  it("workbooks, archives and other binary files are named", () => {
    expect(failure(Uint8Array.from([0x50, 0x4b, 3, 4, 0]), "a.csv").message).toContain("Excel");
    expect(failure(utf8("sentence,label\na\0,1\n"), "a.csv").details).toMatchObject({ line: 2 });
  });
});

describe("what is refused, with file, line and the way out", () => {
  it("an empty file, blank lines only, a header only", () => {
    for (const [text, file] of [
      ["", "a.jsonl"],
      [" \n\n", "a.csv"],
      ["sentence,label\n", "a.csv"],
    ] as const) {
      const error = failure(text, file);
      expect(error.code).toBe("data.empty");
      expect(error.details).toEqual({ file });
    }
  });

  it("not JSON", () => {
    const error = failure(`${good}\n${poor}\nこれは JSON ではない\n`, "bad.jsonl");
    expect(error.code).toBe("data.not_json");
    expect(error.details).toEqual({ file: "bad.jsonl", line: 3, value: "これは JSON ではない", count: 1, total: 3 });
    expect(error.message).toMatch(/bad\.jsonl, line 3.*one object a line/);
  });

  it("wrong columns, listing what was found", () => {
    const csv = failure("text,stars\na,5\n", "bad.csv");
    expect(csv.code).toBe("data.missing_column");
    expect(csv.details).toMatchObject({ file: "bad.csv", line: 1, found: "text, stars" });
    expect(csv.message).toContain("no column sentence and no label; found: text, stars");
    const jsonl = failure('{"text": "a", "stars": 5}\n', "bad.jsonl");
    expect(jsonl.code).toBe("data.missing_column");
    expect(jsonl.details).toMatchObject({ line: 1, found: "text, stars" });
    expect(failure('{"sentence": 5, "label": 1}', "n.jsonl").message).toContain("not text");
  });

  it("a row with too many fields", () => {
    const error = failure("sentence,label\na,b,1\nc,0\n", "bad.csv");
    expect([error.code, error.details.line, error.details.value]).toEqual([
      "data.missing_column",
      2,
      "3 fields for 2 columns",
    ]);
  });

  it("an unknown label, with its value", () => {
    const error = failure(`${good}\n{"sentence": "普通", "label": "neutral"}\n`, "bad.jsonl");
    expect(error.code).toBe("data.bad_label");
    expect(error.details).toMatchObject({ line: 2, value: "neutral", count: 1, total: 2 });
    expect(failure('{"sentence": "a", "label": 5}', "b.jsonl").details.value).toBe("5");
    expect(failure('{"sentence": "a", "label": "constructor"}', "b.jsonl").code).toBe("data.bad_label");
  });

  it("one label only, unless the caller allows it", () => {
    const error = failure(`${good}\n${good}\n`, "one.jsonl");
    expect(error.code).toBe("data.single_label");
    expect(error.details).toEqual({ file: "one.jsonl", label: "positive", rows: 2 });
    expect(parseDataset(good, "one.jsonl", { requireBothLabels: false }).rows.length).toBe(1);
  });

  it("a quotation mark that is never closed, with its line", () => {
    const error = failure('sentence,label\na,1\n"b,0\nc,1\n', "bad.csv");
    expect([error.code, error.details.line]).toEqual(["data.unreadable", 3]);
  });

  it("a format nobody can tell", () => {
    expect(failure("ただの文章", "notes.txt").code).toBe("data.unknown_format");
  });
});

describe("real files", () => {
  const reviews = new URL("../../../public/datasets/reviews-ja/", import.meta.url);
  const economy = new URL("../../../../shared/data/economy-watchers/", import.meta.url);
  const files: [URL, string, number][] = [
    [reviews, "train.jsonl", 4332],
    [reviews, "validation.jsonl", 500],
    [reviews, "test.jsonl", 500],
  ];
  // Not part of the repository; read where it is there.
  if (existsSync(economy)) files.push([economy, "small_train.jsonl", 4000], [economy, "small_valid.jsonl", 500]);

  it.each(files)("%s%s", (folder, file, count) => {
    const { rows, problem_count: problems, duplicates } = parseDataset(readFileSync(new URL(file, folder)), file);
    expect([rows.length, problems, duplicates]).toEqual([count, 0, 0]);
    expect(Math.abs(rows.filter(({ label }) => label === "positive").length / count - 0.5)).toBeLessThan(0.02);
  });
});
