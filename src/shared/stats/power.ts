/** How many decided items it takes until a preference shows: power of the two-sided exact binomial test at 5 %. */
import { binomialPmf, lowerTail, upperTail } from "./binomial";

/** Each tail of the test. */
const TAIL = 0.025;
export const POWER = 0.8;

/** The most losses (of either side) in n items that the test still calls significant; -1 where nothing is (n < 6). */
export function criticalCount(n: number): number {
  let count = Math.max(-1, Math.min(n, Math.floor(n / 2 - 0.98 * Math.sqrt(n))));
  let tail = lowerTail(count, n, 0.5);
  while (count >= 0 && tail > TAIL) tail -= binomialPmf(count--, n, 0.5);
  for (;;) {
    const wider = tail + binomialPmf(count + 1, n, 0.5);
    if (wider > TAIL) return count;
    count++;
    tail = wider;
  }
}

/** Probability that the test over n decided items is significant when one side truly wins `share` of them. */
export function signTestPower(n: number, share: number): number {
  const count = criticalCount(n);
  return count < 0 ? 0 : upperTail(n - count, n, share) + lowerTail(count, n, share);
}

/**
 * The same for a test that is made exactly 5 % wide by a coin. It is the uniformly most powerful unbiased test, so it never
 * loses power when an item is added (an unbiased test may ignore it), and it never has less than the plain test.
 */
function randomizedPower(n: number, share: number): number {
  const count = criticalCount(n);
  const rest = (TAIL - lowerTail(count, n, 0.5)) / binomialPmf(count + 1, n, 0.5);
  const edge = binomialPmf(n - count - 1, n, share) + binomialPmf(count + 1, n, share);
  return signTestPower(n, share) + rest * edge;
}

/**
 * The smallest number of decided items at which the two-sided 5 % exact binomial test, 2.5 % a tail, has 80 % power when
 * one side wins `share` of them. Power rises in a sawtooth, so a few more items can have less. Null at one half, where no
 * number is enough, for a share that is not in [0, 1], and above 10^10 items.
 */
export function itemsFor80Power(share: number): number | null {
  if (!(share >= 0 && share <= 1) || share === 0.5) return null;
  const larger = Math.max(share, 1 - share);
  // Nothing below the first number at which the randomized test has 80 % can have it.
  let high = 1;
  while (randomizedPower(high, larger) < POWER) {
    high *= 2;
    if (high > 2e10) return null;
  }
  let low = high / 2;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (randomizedPower(middle, larger) < POWER) low = middle;
    else high = middle;
  }
  return climb(high, larger);
}

/** The first n from `start` on with enough power. Tails are carried from n to n + 1: P(X <= c) loses p P(X = c). */
function climb(start: number, share: number): number {
  let n = start;
  let count = criticalCount(n);
  let size = lowerTail(count, n, 0.5);
  let right = lowerTail(count, n, 1 - share);
  let wrong = lowerTail(count, n, share);
  while (!(count >= 0 && right + wrong >= POWER)) {
    size -= 0.5 * binomialPmf(count, n, 0.5);
    right -= (1 - share) * binomialPmf(count, n, 1 - share);
    wrong -= share * binomialPmf(count, n, share);
    n++;
    const wider = size + binomialPmf(count + 1, n, 0.5);
    if (wider > TAIL) continue;
    count++;
    size = wider;
    right += binomialPmf(count, n, 1 - share);
    wrong += binomialPmf(count, n, share);
  }
  return n;
}
