/**
 * Runs `draw` after a change: at most once a frame, and never more than a fifth of the time, since a curve of 100,000
 * steps takes longer to draw than one of 100.
 */
export function createDrawLoop(draw: () => void): { schedule: () => void; now: () => void; stop: () => void } {
  let frame = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let cost = 0;
  let drawnAt = 0;
  const now = (): void => {
    const start = performance.now();
    draw();
    drawnAt = performance.now();
    cost = drawnAt - start;
    frame = 0;
  };
  const request = (): void => {
    timer = undefined;
    frame = requestAnimationFrame(now);
  };
  const schedule = (): void => {
    if (frame !== 0 || timer !== undefined) return;
    const wait = 4 * cost - (performance.now() - drawnAt);
    if (wait > 0) timer = setTimeout(request, wait);
    else request();
  };
  const stop = (): void => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
  return { schedule, now, stop };
}
