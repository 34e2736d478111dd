import { describe, expect, it } from "vitest";
import type { Row } from "../data/formats";
import { rowsOfPart } from "./rows";

const rows = Array.from(
  { length: 600 },
  (_, index): Row => ({
    sentence: `${index % 300}番目のレビュー`,
    label: index % 3 === 0 ? "negative" : "positive",
    review_id: null,
  }),
);
const part = (index: number, of: number, seed = 1) => rowsOfPart(rows, { part: index, of }, seed, "x.jsonl");
const texts = (some: readonly Row[]) => new Set(some.map(({ sentence }) => sentence));

describe("rowsOfPart", () => {
  it("splits texts, equal ones together, into parts that share none and miss none", () => {
    const [first, second] = [part(0, 2), part(1, 2)];
    expect(first.length + second.length).toBe(600);
    for (const text of texts(first)) expect(texts(second).has(text)).toBe(false);
    // 300 texts: half of them, give or take four standard deviations.
    expect(Math.abs(texts(first).size - 150)).toBeLessThan(35);
    const thirds = [0, 1, 2].map((index) => texts(part(index, 3)).size);
    for (const size of thirds) expect(Math.abs(size - 100)).toBeLessThan(33);
  });

  it("depends on seed and text only", () => {
    expect(part(0, 2)).toEqual(part(0, 2));
    expect(texts(part(0, 2, 2))).not.toEqual(texts(part(0, 2, 1)));
    const turned = rowsOfPart([...rows].reverse(), { part: 0, of: 2 }, 1, "x.jsonl");
    expect(texts(turned)).toEqual(texts(part(0, 2)));
  });

  it("says when a part cannot be learnt from", () => {
    const few = rows.slice(0, 1);
    const codes = [0, 1].map((index) => {
      try {
        return rowsOfPart(few, { part: index, of: 2 }, 1, "x.jsonl").length;
      } catch (error) {
        return error instanceof Error && "code" in error ? error.code : error;
      }
    });
    expect(codes.sort()).toEqual(["data.empty", "data.single_label"]);
    expect(rowsOfPart(few, null, 1, "x.jsonl")).toEqual(few);
  });
});
