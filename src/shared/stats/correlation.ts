/** Correlation, for instance of reward and length: a reward model may have learned little but how long a text is. */
import { midRanks } from "./ranks";

/** Pearson's r in [-1, 1]. Null for fewer than two pairs, a constant side, or a value that is not finite. */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number | null {
  if (x.length !== y.length) throw new RangeError(`${x.length} values against ${y.length}`);
  const count = x.length;
  let sumX = 0;
  let sumY = 0;
  for (let i = 0; i < count; i++) {
    sumX += x[i] ?? 0;
    sumY += y[i] ?? 0;
  }
  const [meanX, meanY] = [sumX / count, sumY / count];
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const dx = (x[i] ?? 0) - meanX;
    const dy = (y[i] ?? 0) - meanY;
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  const scale = Math.sqrt(xx) * Math.sqrt(yy);
  if (!(scale > 0) || !Number.isFinite(scale)) return null;
  return Math.max(-1, Math.min(1, xy / scale));
}

/** Spearman's rank correlation, ties sharing their mean rank. Null as for `pearson`. */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number | null {
  const [ranksX, ranksY] = [midRanks(x), midRanks(y)];
  return ranksX && ranksY ? pearson(ranksX, ranksY) : null;
}
