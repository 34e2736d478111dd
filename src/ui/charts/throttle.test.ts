import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createDrawLoop } from "./throttle";

const FRAME = 16;

describe("createDrawLoop", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("requestAnimationFrame", (callback: () => void) => Number(setTimeout(callback, FRAME)));
    vi.stubGlobal("cancelAnimationFrame", (id: number) => clearTimeout(id));
    vi.spyOn(performance, "now").mockImplementation(() => Date.now());
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("draws once a frame however many changes there are", () => {
    const draw = vi.fn();
    const loop = createDrawLoop(draw);
    for (let i = 0; i < 100; i++) loop.schedule();
    vi.advanceTimersByTime(FRAME);
    expect(draw).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(10 * FRAME);
    expect(draw).toHaveBeenCalledTimes(1);
  });

  it("leaves the page four fifths of the time when drawing is slow", () => {
    const slow = 50;
    let drawings = 0;
    const loop = createDrawLoop(() => {
      drawings++;
      vi.setSystemTime(Date.now() + slow);
    });
    loop.now();
    const start = Date.now();
    while (Date.now() - start < 2000) {
      loop.schedule();
      vi.advanceTimersByTime(4);
    }
    const share = ((drawings - 1) * slow) / (Date.now() - start);
    expect(drawings).toBeGreaterThan(3);
    expect(share).toBeLessThanOrEqual(0.21);
  });

  it("draws nothing after it was stopped", () => {
    const draw = vi.fn();
    const loop = createDrawLoop(draw);
    loop.schedule();
    loop.stop();
    vi.advanceTimersByTime(10 * FRAME);
    expect(draw).not.toHaveBeenCalled();
  });
});
