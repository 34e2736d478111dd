import { describe, expect, it, vi } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { BatchCursor, type CursorState, encodeText, encodeTexts, IGNORED, packTexts } from "./batches";
import type { Tokenizer } from "./tokenizer";

/** One token a character, ids from 10. */
const tokenizer: Tokenizer = {
  encode: (text) => [...text].map((_, i) => 10 + i),
  decode: () => "",
  eosId: 0,
  padId: 1,
  vocabSize: 1000,
};

describe("packTexts", () => {
  it("lays texts one after another", () => {
    expect(packTexts([[5, 6, 0], [7], [8, 0]], { labels: [1, 0, 1], targets: true })).toEqual({
      input_ids: Int32Array.of(5, 6, 0, 7, 8, 0),
      position_ids: Int32Array.of(0, 1, 2, 0, 0, 1),
      segment_start: Int32Array.of(0, 0, 0, 3, 4, 4),
      segment_end: Int32Array.of(3, 3, 3, 4, 6, 6),
      last_index: Int32Array.of(2, 3, 5),
      targets: Int32Array.of(6, 0, IGNORED, IGNORED, 0, IGNORED),
      labels: Int32Array.of(1, 0, 1),
    });
  });

  it("has targets and labels only where they were asked for", () => {
    const batch = packTexts([[5, 0]]);
    expect("targets" in batch || "labels" in batch).toBe(false);
    expect(packTexts([]).input_ids.length).toBe(0);
  });

  it("refuses an empty text and labels of another number", () => {
    expect(() => packTexts([[1], []])).toThrow("text 1 has no tokens");
    expect(() => packTexts([[1]], { labels: [1, 0] })).toThrow(RangeError);
  });

  it("keeps every token in its own text, whatever the lengths", () => {
    const random = Random.seeded(1);
    for (let round = 0; round < 50; round++) {
      const texts = Array.from({ length: 1 + random.below(9) }, (_, text) =>
        Array.from({ length: 1 + random.below(30) }, (_, token) => text * 100 + token),
      );
      const batch = packTexts(texts, { targets: true });
      for (const [t, id] of batch.input_ids.entries()) {
        const [start = -1, end = -1] = [batch.segment_start[t], batch.segment_end[t]];
        const text = texts[Math.floor(id / 100)] ?? [];
        expect(Array.from(batch.input_ids.subarray(start, end))).toEqual(text);
        expect(batch.position_ids[t]).toBe(t - start);
        expect(batch.targets?.[t]).toBe(t + 1 === end ? IGNORED : batch.input_ids[t + 1]);
      }
      expect(Array.from(batch.last_index ?? [], (at) => batch.input_ids[at])).toEqual(texts.map((text) => text.at(-1)));
    }
  });
});

describe("encoding", () => {
  it("ends every text, and cuts long ones so that the end still fits", () => {
    expect(encodeText(tokenizer, "あいう", 4)).toEqual({ ids: Int32Array.of(10, 11, 12, 0), truncated: false });
    expect(encodeText(tokenizer, "あいう", 3)).toEqual({ ids: Int32Array.of(10, 11, 0), truncated: true });
    expect(encodeText(tokenizer, "あいう", 1)).toEqual({ ids: Int32Array.of(0), truncated: true });
    expect(encodeText(tokenizer, "", 5)).toEqual({ ids: Int32Array.of(0), truncated: false });
  });

  it("counts what it cut, reports progress and lets others run", async () => {
    // A clock on which every text takes 2 ms, whatever this machine does meanwhile.
    let now = 0;
    vi.spyOn(Date, "now").mockImplementation(() => now);
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const slow: Tokenizer = {
      ...tokenizer,
      encode: (text) => {
        now += 2;
        return tokenizer.encode(text);
      },
    };
    const seen: number[] = [];
    const texts = Array.from({ length: 60 }, (_, i) => "字".repeat(i));
    const encoded = await encodeTexts(slow, texts, 51, { onProgress: (done) => seen.push(done) });
    clearInterval(timer);
    vi.restoreAllMocks();
    expect(encoded.truncatedCount).toBe(9);
    expect(encoded.truncated.indexOf(true)).toBe(51);
    expect(encoded.tokens).toBe(encoded.ids.reduce((sum, ids) => sum + ids.length, 0));
    expect(seen.at(-1)).toBe(60);
    // 60 texts of 2 ms with a turn every 30 ms, and the end.
    expect(seen).toEqual([15, 30, 45, 60, 60]);
    expect(turns).toBeGreaterThan(0);
  });
});

describe("BatchCursor", () => {
  it("gives every row once an epoch, in an order that changes", () => {
    const cursor = new BatchCursor(10, Random.seeded(4));
    const epochs = Array.from({ length: 4 }, () => [cursor.next(4), cursor.next(4), cursor.next(4)]);
    for (const batches of epochs) {
      expect(batches.map((batch) => batch.length)).toEqual([4, 4, 2]);
      expect(batches.flat().sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    expect(new Set(epochs.map((batches) => batches.flat().join())).size).toBe(4);
  });

  it("depends on the seed alone", () => {
    const run = (seed: number) => {
      const cursor = new BatchCursor(50, Random.seeded(seed));
      return Array.from({ length: 30 }, () => cursor.next(8));
    };
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });

  it("resumed equals uninterrupted, wherever it was stopped, through JSON", () => {
    const [rows, steps] = [23, 20];
    const whole = new BatchCursor(rows, Random.seeded(9));
    const expected = Array.from({ length: steps }, () => whole.next(5));
    for (let stop = 0; stop <= steps; stop++) {
      const first = new BatchCursor(rows, Random.seeded(9));
      const batches = Array.from({ length: stop }, () => first.next(5));
      const state: CursorState = JSON.parse(JSON.stringify(first.state()));
      const second = BatchCursor.restore(rows, state);
      for (let step = stop; step < steps; step++) batches.push(second.next(5));
      expect(batches).toEqual(expected);
      expect(second.state()).toEqual(whole.state());
    }
  });

  it("refuses what cannot be", () => {
    expect(() => new BatchCursor(0, Random.seeded(1))).toThrow(RangeError);
    const cursor = new BatchCursor(5, Random.seeded(1));
    expect(() => cursor.next(0)).toThrow(RangeError);
    expect(() => BatchCursor.restore(3, { ...cursor.state(), position: 4 })).toThrow(RangeError);
  });
});
