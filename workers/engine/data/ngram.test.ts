import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import expected from "./fixtures/ngram.json";
import { parseDataset, type Row } from "./formats";
import { evaluateNgram, trainNgram } from "./ngram";
import { NgramVectorizer } from "./tfidf";

const reviews = (split: string): readonly Row[] => {
  const path = new URL(`../../../public/datasets/reviews-ja/${split}.jsonl`, import.meta.url);
  return parseDataset(readFileSync(path), `${split}.jsonl`).rows;
};

function expectClose(found: ArrayLike<number>, wanted: readonly number[], tolerance: number): void {
  expect(found.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) {
    if (!(Math.abs((found[i] ?? Number.NaN) - value) <= tolerance)) expect.fail(`[${i}] ${found[i]} is not ${value}`);
  }
}

describe("against scikit-learn", () => {
  const train = reviews("train").slice(0, expected.train_rows);
  const validation = reviews("validation").slice(0, 100);

  it("the same features", async () => {
    const texts = train.map(({ sentence }) => sentence);
    const { vectorizer, rows } = await NgramVectorizer.fit(texts, 2, async () => {});
    expect(vectorizer.features).toBe(expected.features);
    expect(vectorizer.transform(texts)).toEqual(rows);
    const { indices, values } = vectorizer.transform(texts.slice(0, 1));
    const terms = Object.entries(expected.first_row);
    expect(indices.length).toBe(terms.length);
    for (const [gram, value] of terms) {
      const place = indices.indexOf(vectorizer.columnOf(gram) ?? -1);
      expectClose([values[place] ?? Number.NaN], [value], 1e-12);
    }
  });

  it("the same decision values on texts it has not seen, odd ones too", async () => {
    const model = await trainNgram(train);
    expect(model.converged).toBe(true);
    const texts = [...validation.map(({ sentence }) => sentence), ...expected.extra];
    expectClose(model.decision(texts), expected.decision, 1e-3);
    expectClose([model.intercept], [expected.intercept], 1e-3);
    expect(evaluateNgram(model, validation)).toEqual({ accuracy: expected.accuracy, auc: expected.auc });
  });

  it("the same accuracy and AUC on all bundled reviews, within seconds, while others get their turn", async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const start = process.cpuUsage();
    const model = await trainNgram(reviews("train"));
    const seconds = process.cpuUsage(start).user / 1e6;
    clearInterval(timer);
    for (const split of ["validation", "test"] as const) {
      const found = evaluateNgram(model, reviews(split));
      expect(found.accuracy).toBeCloseTo(expected.full[split].accuracy, 10);
      expect(found.auc).toBeCloseTo(expected.full[split].auc, 4);
    }
    expect(turns).toBeGreaterThan(10);
    // Time of the processor, so that a busy machine does not fail this.
    expect(seconds).toBeLessThan(12);
  }, 120_000);
});

describe("edges", () => {
  const rows: Row[] = ["良い", "とても良い", "悪い", "とても悪い"].map((sentence, i) => ({
    sentence,
    label: i < 2 ? "positive" : "negative",
    review_id: null,
  }));

  it("the same rows give the same bits", async () => {
    const [first, second] = [await trainNgram(rows), await trainNgram(rows)];
    const texts = ["良い", "悪い", ""];
    expect(first.decision(texts)).toEqual(second.decision(texts));
  });

  it("learns, and says nothing but the intercept about an unknown text", async () => {
    const model = await trainNgram(rows);
    const [good = 0, poor = 0, unknown] = model.decision(["良い", "悪い", "XYZ"]);
    expect(good).toBeGreaterThan(poor);
    expect(unknown).toBe(model.intercept);
  });

  it("one label only gives that label, no rows give null", async () => {
    const model = await trainNgram(rows.slice(0, 2));
    expect(evaluateNgram(model, rows)).toEqual({ accuracy: 0.5, auc: 0.5 });
    expect(evaluateNgram(model, [])).toEqual({ accuracy: null, auc: null });
  });

  it("draws from more rows than it can hold, and says how many", async () => {
    const many = Array.from({ length: 30 }, (_, i) => rows[i % 4] ?? expect.fail());
    expect((await trainNgram(many, { maxRows: 20 })).rows).toBe(20);
    expect((await trainNgram(many)).rows).toBe(30);
  });
});
