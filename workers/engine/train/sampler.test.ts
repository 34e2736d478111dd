import { describe, expect, it } from "vitest";
import type { RewardObjective } from "../../../src/shared/protocol/config";
import type { StepBatch } from "./loop";
import type { Split } from "./rows";
import { batchLimits, Sampler, samplerState } from "./sampler";

/** Row i is the text [i + 2, ..., 0] with `lengths[i]` tokens: its first token says which row it is. */
function split(lengths: readonly number[], labels: readonly number[]): Split {
  const ids = lengths.map((length, index) => {
    const one = new Int32Array(length).fill(1);
    one[0] = index + 2;
    return one;
  });
  return {
    rows: labels.map((label) => ({ sentence: "", label: label ? "positive" : "negative", review_id: null })),
    ids,
    lengths: Int32Array.from(lengths),
    labels: Uint8Array.from(labels),
    truncated: labels.map(() => false),
  };
}

const rowsOf = (batch: StepBatch): number[][] =>
  batch.microBatches.map((micro) =>
    [...(micro.last_index ?? [])].map((last) => (micro.input_ids[micro.segment_start[last] ?? 0] ?? 0) - 2),
  );

function sampler(objective: RewardObjective, data: Split, batch_size: number, accumulation = 1, seed = 1): Sampler {
  const limits = batchLimits([data], objective, batch_size);
  return new Sampler(data, { objective, seed, batch_size, accumulation, limits });
}

const seven = split([2, 3, 2, 4, 2, 5, 3], [1, 0, 1, 0, 0, 0, 1]);

describe("Sampler", () => {
  it("gives every text once an epoch, in another order each time, with its label", () => {
    const one = sampler("binary", seven, 3);
    expect(one.steps_per_epoch).toBe(3);
    const epochs = [0, 1].map(() =>
      Array.from({ length: 3 }, () => {
        const batch = one.next();
        const [rows] = rowsOf(batch);
        expect([...(batch.microBatches[0]?.labels ?? [])]).toEqual(rows?.map((row) => seven.labels[row]));
        return rows ?? [];
      }),
    );
    for (const epoch of epochs) {
      expect(epoch.map((rows) => rows.length)).toEqual([3, 3, 1]);
      expect(epoch.flat().sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    }
    expect(epochs[0]).not.toEqual(epochs[1]);
  });

  it("makes the same steps out of 6 x 1 and 2 x 3 and 1 x 6 texts", () => {
    const orders = [
      [6, 1],
      [2, 3],
      [1, 6],
    ].map(([size = 1, accumulation = 1]) => {
      const one = sampler("binary", seven, size, accumulation);
      expect(one.steps_per_epoch).toBe(2);
      return Array.from({ length: 4 }, () => rowsOf(one.next()).flat());
    });
    expect(orders[1]).toEqual(orders[0]);
    expect(orders[2]).toEqual(orders[0]);
  });

  it("follows the seed", () => {
    const order = (seed: number) => rowsOf(sampler("binary", seven, 7, 1, seed).next());
    expect(order(1)).toEqual(order(1));
    expect(order(1)).not.toEqual(order(2));
  });

  it.each(["binary", "cross-entropy", "pairwise"] as const)("%s: goes on where its state was taken", (objective) => {
    const one = sampler(objective, seven, 2);
    for (let step = 0; step < 5; step++) {
      const stored = samplerState.parse(JSON.parse(JSON.stringify(one.state())));
      const other = sampler(objective, seven, 2, 1, 99);
      other.restore(stored);
      const expected = [rowsOf(one.next())];
      expect([rowsOf(other.next())]).toEqual(expected);
      for (let more = 0; more < 4; more++) other.next();
    }
  });

  it("pairwise: positives first, negatives second, every text at least once an epoch", () => {
    const one = sampler("pairwise", seven, 3);
    expect(one.epoch_items).toBe(4);
    expect(one.steps_per_epoch).toBe(2);
    const seen = new Set<number>();
    for (let step = 0; step < 2; step++) {
      const batch = one.next();
      const [rows = []] = rowsOf(batch);
      const half = rows.length / 2;
      expect(half).toBe(step === 0 ? 3 : 1);
      expect(rows.slice(0, half).every((row) => seven.labels[row] === 1)).toBe(true);
      expect(rows.slice(half).every((row) => seven.labels[row] === 0)).toBe(true);
      expect(batch.microBatches[0]).not.toHaveProperty("labels");
      for (const row of rows) seen.add(row);
    }
    expect(seen.size).toBe(7);
  });

  it("splits what would be too many tokens, keeping all of it", () => {
    const long = split([1500, 900, 1400, 30], [1, 0, 1, 0]);
    expect(batchLimits([long], "binary", 4)).toEqual({ max_tokens: 2048, max_texts: 4 });
    const batch = sampler("binary", long, 4).next();
    expect(batch.microBatches.length).toBeGreaterThan(1);
    expect(batch.microBatches.every((micro) => micro.input_ids.length <= 2048)).toBe(true);
    expect(batch.tokens).toBe(3830);
    expect(rowsOf(batch).flat().sort()).toEqual([0, 1, 2, 3]);
  });

  it("lets a pair be longer than the bound", () => {
    expect(batchLimits([split([1500, 1400, 3], [1, 0, 1])], "pairwise", 8)).toEqual({
      max_tokens: 3000,
      max_texts: 16,
    });
  });

  it("plans no more than the longest texts need", () => {
    expect(batchLimits([seven], "binary", 2)).toEqual({ max_tokens: 9, max_texts: 2 });
    expect(batchLimits([seven, split([7], [1])], "binary", 2)).toEqual({ max_tokens: 12, max_texts: 2 });
  });
});
