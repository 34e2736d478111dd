import { describe, expect, it } from "vitest";
import { lineChart, thin, ticks } from "./charts";

const line = (count: number, spike: number) => ({
  name: "loss",
  points: Array.from({ length: count }, (_, index) => [index, index === spike ? 50 : 1] as const),
});

describe("charts", () => {
  it("keep spikes when points are thinned", () => {
    const { points } = line(10_000, 7777);
    const kept = thin(points);
    expect(kept.length).toBeLessThan(700);
    expect(kept).toContainEqual([7777, 50]);
    expect(kept.map(([x]) => x)).toEqual(kept.map(([x]) => x).sort((a, b) => a - b));
  });

  it("have round ticks inside the range", () => {
    expect(ticks(0, 1, 4)).toEqual([0, 0.5, 1]);
    expect(ticks(-3, 12, 5)).toEqual([0, 5, 10]);
    expect(ticks(0.11, 0.13, 4).length).toBeGreaterThanOrEqual(2);
  });

  it("draw lines inside their frame, flat ones and single points too", () => {
    const svg = lineChart('a "title"', [line(3, 1), { name: "one", points: [[1, 2]] }]);
    expect(svg).toContain('aria-label="a &quot;title&quot;"');
    const numbers = [...svg.matchAll(/points="([^"]*)"/g)].flatMap(([, list]) =>
      (list ?? "").split(/[ ,]/).map(Number),
    );
    expect(numbers.length).toBe(6);
    for (const number of numbers) expect(number).toBeGreaterThanOrEqual(0);
    expect(svg).toContain("<circle");
    expect(
      lineChart("flat", [
        {
          name: "x",
          points: [
            [0, 3],
            [1, 3],
          ],
        },
      ]),
    ).not.toContain("NaN");
  });

  it("are nothing where nothing is finite", () => {
    expect(lineChart("x", [{ name: "x", points: [[0, Number.NaN]] }])).toBe("");
  });
});
