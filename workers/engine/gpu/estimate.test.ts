import { describe, expect, it } from "vitest";
import { dispatchSeconds, INTEGRATED_GPU, SUBMIT_SECONDS, splitSubmits, totalSeconds } from "./estimate";

const computing = { worstFlops: 3e10, bytes: 1e6 };
const moving = { worstFlops: 0, bytes: 3e9 };

describe("estimates", () => {
  it("take the longer of computing and moving", () => {
    expect(dispatchSeconds(computing, INTEGRATED_GPU)).toBeCloseTo(0.03, 10);
    expect(dispatchSeconds(moving, INTEGRATED_GPU)).toBeCloseTo(0.05, 10);
    expect(totalSeconds([computing, moving, moving], INTEGRATED_GPU)).toBeCloseTo(0.13, 10);
  });
});

describe("submits", () => {
  it("are cut where the next dispatch would pass the budget, in order and without loss", () => {
    const list = [computing, computing, moving, computing, moving, moving, computing];
    const lists = splitSubmits(list, false);
    expect(lists.flat()).toEqual(list);
    expect(lists.map(({ length }) => length)).toEqual([2, 2, 2, 1]);
    for (const one of lists) expect(totalSeconds(one, INTEGRATED_GPU)).toBeLessThanOrEqual(SUBMIT_SECONDS);
  });

  it("hold one dispatch that is longer than the budget alone", () => {
    const long = { worstFlops: 1e12, bytes: 1 };
    expect(splitSubmits([computing, long, computing], false).map(({ length }) => length)).toEqual([1, 1, 1]);
  });

  it("are none for nothing", () => {
    expect(splitSubmits([], false)).toEqual([]);
  });
});
