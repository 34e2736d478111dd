/** How far an axis reaches, from the lowest and highest value in sight. */

/** Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], about `count` of them. */
export function niceTicks(low: number, high: number, count: number): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(i * step);
  return ticks;
}

/** Losses, norms, speeds, learning rates: from zero, so that heights can be compared. */
export function fromZero(low: number, high: number): [number, number] {
  const top = high > 0 ? high * 1.08 : 1;
  return [Math.min(0, low * 1.08), top];
}

/** Accuracies and AUC: around what is there, within 0 and 1, at least ten points wide so that noise stays small. */
export function share(low: number, high: number): [number, number] {
  const missing = Math.max(0, 0.1 - (high - low));
  const pad = Math.max(0.02, (high - low) * 0.08);
  return [Math.max(0, low - missing / 2 - pad), Math.min(1, high + missing / 2 + pad)];
}

/** What may be negative (rewards, KL, margins): around what is there, zero in sight where it is near. */
export function around(low: number, high: number): [number, number] {
  const width = high - low || Math.abs(high) || 1;
  const pad = width * 0.08;
  const bottom = low >= 0 && low < width ? 0 : low - pad;
  const top = low < 0 && high <= 0 && -high < width ? 0 : high + pad;
  return [bottom, top];
}
