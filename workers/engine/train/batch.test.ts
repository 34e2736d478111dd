import { describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { bucketSize } from "./batch";

describe("bucketSize", () => {
  it("holds the tokens, wastes little of a large batch and grows in few steps", () => {
    const sizes = new Set<number>();
    for (let tokens = 1; tokens <= 4096; tokens++) {
      const size = bucketSize(tokens);
      sizes.add(size);
      expect(size).toBeGreaterThanOrEqual(tokens);
      expect(size % 16).toBe(0);
      expect(bucketSize(size)).toBe(size);
      if (tokens >= 256) expect((size - tokens) / size).toBeLessThan(1 / 16);
    }
    expect(bucketSize(0)).toBe(16);
    expect(sizes.size).toBe(80);
  });

  it("fills up less than 5 % over batches of reviews: lengths between 5 and 118 tokens, 42 on average", () => {
    const random = Random.seeded(3);
    const length = () => Math.min(118, 5 + Math.round(-37 * Math.log(1 - random.uniform())));
    for (const texts of [8, 16, 32]) {
      let tokens = 0;
      let computed = 0;
      for (let batch = 0; batch < 200; batch++) {
        const size = Array.from({ length: texts }, length).reduce((sum, one) => sum + one, 0);
        tokens += size;
        computed += bucketSize(size);
      }
      expect(1 - tokens / computed).toBeLessThan(0.05);
    }
  });
});
