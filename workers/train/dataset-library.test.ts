import { beforeEach, describe, expect, it } from "vitest";
import { NagiError } from "../../src/shared/errors";
import { parseDataset } from "../engine/data/formats";
import { MemoryDirectory } from "../engine/io/memory-directory";
import { Folder } from "../engine/io/opfs";
import { DatasetLibrary, splitRows, summarise } from "./dataset-library";
import { Sources } from "./sources";

let directory: MemoryDirectory;
let library: DatasetLibrary;
let sources: Sources;

beforeEach(() => {
  directory = new MemoryDirectory("datasets");
  const folder = new Folder(directory, "datasets");
  sources = new Sources(folder, new Folder(new MemoryDirectory("models"), "models"), new URL("http://localhost/"));
  library = new DatasetLibrary(folder, sources);
});

const row = (i: number, label = i % 3 === 0 ? "negative" : "positive") =>
  JSON.stringify({ sentence: `文${i}です。`, label });
const lines = (count: number, from = 0) => Array.from({ length: count }, (_, i) => row(from + i)).join("\n");
const file = (name: string, text: string) => new File([text], name);

async function errorOf(promise: Promise<unknown>): Promise<NagiError> {
  const error = await promise.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (error instanceof NagiError) return error;
  throw new Error(`no NagiError: ${String(error)}`);
}

describe("importing", () => {
  it("keeps files of any format as they are when validation rows are given", async () => {
    const csv = "sentence,label\n良い,1\n悪い,0\n";
    const entry = await library.import({
      name: "mine",
      train: file("a.jsonl", lines(30)),
      validation: file("b.csv", csv),
      test: null,
      seed: 0,
    });
    expect(entry).toMatchObject({ name: "mine", source: "imported", files: ["a.jsonl", "b.csv"], split: null });
    expect(entry.data.test).toBeNull();
    const stored = await sources.data(entry.data.validation);
    expect(stored.name.endsWith("/validation.csv")).toBe(true);
    expect(new TextDecoder().decode(stored.bytes)).toBe(csv);
    expect((await library.inspect(entry.data.train)).rows).toBe(30);
    expect((await library.list()).map((listed) => listed.name)).toEqual(["reviews-ja", "mine"]);
    await library.delete(entry.id);
    expect((await library.list()).map((listed) => listed.name)).toEqual(["reviews-ja"]);
    expect((await errorOf(sources.data(entry.data.train))).code).toBe("data.unreadable");
  });

  it("remembers the lines it left out of a file that it split", async () => {
    const text = `${lines(40)}\n{"sentence": "良い", "label": "ふつう"}\n`;
    const request = { name: "x", train: file("a.jsonl", text), validation: null, test: null, seed: 1 };
    const entry = await library.import(request);
    const summary = await library.inspect(entry.data.train);
    expect(summary.problems).toEqual([{ line: 41, reason: "bad_label", value: "ふつう" }]);
    expect(summary.problem_count).toBe(1);
    expect((await library.inspect(entry.data.validation)).problem_count).toBe(0);
  });

  it("is the same data set for the same files and seed, another one for another seed", async () => {
    const request = { name: "x", train: file("a.jsonl", lines(50)), validation: null, test: null, seed: 1 };
    const first = await library.import(request);
    const again = await library.import({ ...request, name: "y" });
    const other = await library.import({ ...request, seed: 2 });
    expect(again.id).toBe(first.id);
    expect(other.id).not.toBe(first.id);
    expect(first.split).toEqual({ share: 0.1, seed: 1 });
    expect((await library.list()).length).toBe(3);
  });

  it.each([
    ["empty.jsonl", "", "data.empty"],
    ["one.jsonl", Array.from({ length: 5 }, (_, i) => row(i, "positive")).join("\n"), "data.single_label"],
    ["text.jsonl", "こんにちは\nさようなら\n", "data.not_json"],
    ["columns.csv", "text,score\nいい,1\n", "data.missing_column"],
  ])("refuses %s, naming it, and stores nothing", async (name, text, code) => {
    for (const role of ["train", "validation", "test"] as const) {
      const good = { name: "x", train: file("a.jsonl", lines(30)), validation: null, test: null, seed: 0 };
      const error = await errorOf(library.import({ ...good, [role]: file(name, text) }));
      expect(error.code).toBe(code);
      expect(error.message).toContain(name);
    }
    expect(await new Folder(directory, "datasets").entries()).toEqual([]);
  });

  it("leaves nothing behind when the disk is full", async () => {
    directory.disk.free = 500;
    const request = { name: "x", train: file("a.jsonl", lines(500)), validation: null, test: null, seed: 0 };
    expect((await errorOf(library.import(request))).code).toBe("storage.quota");
    directory.disk.free = null;
    expect(await new Folder(directory, "datasets").entries()).toEqual([]);
  });
});

describe("splitRows", () => {
  const rows = parseDataset(`${lines(200)}\n${lines(40)}\n`, "a.jsonl").rows;
  const split = (seed: number) => {
    const files = splitRows(rows, "a.jsonl", seed);
    const read = (which: string) => {
      const found = files.find((part) => part.split === which);
      return parseDataset(found?.bytes ?? "", "x.jsonl").rows;
    };
    return { train: read("train"), validation: read("validation") };
  };

  it("loses no row and never puts one sentence on both sides", () => {
    const { train, validation } = split(3);
    expect(train.length + validation.length).toBe(rows.length);
    const trained = new Set(train.map(({ sentence }) => sentence));
    expect(validation.filter(({ sentence }) => trained.has(sentence))).toEqual([]);
  });

  it("takes a tenth of each label, drawn by the seed", () => {
    const { validation } = split(3);
    const sentences = new Set(validation.map(({ sentence }) => sentence));
    expect(sentences.size).toBe(20);
    expect(new Set(validation.filter(({ label }) => label === "negative").map(({ sentence }) => sentence)).size).toBe(
      7,
    );
    expect(split(3)).toEqual(split(3));
    expect(split(4).validation).not.toEqual(validation);
  });

  it("refuses to leave a side with one label", () => {
    const few = parseDataset(`${row(0)}\n${row(1)}\n${row(2)}\n`, "few.jsonl").rows;
    expect(() => splitRows(few, "few.jsonl", 0)).toThrow(/few\.jsonl/);
  });
});

describe("summarise", () => {
  it("counts characters as a reader does and takes samples from all over the file", () => {
    const text = [
      { sentence: "👍👍", label: "positive" },
      ...Array.from({ length: 99 }, (_, i) => ({ sentence: "あ".repeat(1 + (i % 9)), label: "negative" })),
    ];
    const summary = summarise(parseDataset(text.map((line) => JSON.stringify(line)).join("\n"), "a.jsonl"));
    expect(summary).toMatchObject({ rows: 100, positive: 1, negative: 99, max_characters: 9, problem_count: 0 });
    expect(summary.histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(100);
    expect(summary.mean_characters).toBeCloseTo((2 + 11 * 45) / 100);
    expect(summary.samples.length).toBe(10);
    expect(summary.samples[0]?.sentence).toBe("👍👍");
    expect(summary.samples[9]?.sentence).toBe("あ".repeat(9));
  });
});
