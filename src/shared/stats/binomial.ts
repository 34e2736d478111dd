/**
 * The binomial distribution and what follows from it for a share of wins: exact test, exact and Wilson intervals.
 * Written here and not taken from a library: of those at hand, jstat 1.9.6 sums only to an absolute error (the lower
 * tail of 0 of 100 is off by 100 %), lib-r-math.js 2.0.3 is off by 1e-3 at n = 2, and stdlib's tree is 226 packages.
 */

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** 97.5 % quantile of the standard normal distribution. */
export const Z95 = 1.959963984540054;

/** log(n!) - log(sqrt(2 pi n) (n/e)^n), Stirling's error; n >= 1. */
function stirlingError(n: number): number {
  if (n <= 15) {
    let factorial = 1;
    for (let i = 2; i <= n; i++) factorial *= i;
    return Math.log(factorial) - (n + 0.5) * Math.log(n) + n - 0.5 * Math.log(2 * Math.PI);
  }
  const square = n * n;
  return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / n;
}

/** x log(x / mean) + mean - x, without cancellation where x is near the mean. */
function deviance(x: number, mean: number): number {
  const difference = x - mean;
  if (!(Math.abs(difference) < 0.1 * (x + mean))) return x * Math.log(x / mean) + mean - x;
  const ratio = difference / (x + mean);
  let sum = difference * ratio;
  let power = 2 * x * ratio;
  for (let j = 1; ; j++) {
    power *= ratio * ratio;
    const next = sum + power / (2 * j + 1);
    if (next === sum) return sum;
    sum = next;
  }
}

/** P(X = k) of n trials with success probability p. C. Loader, Fast and accurate computation of binomial probabilities, 2000. */
export function binomialPmf(k: number, n: number, p: number): number {
  if (!(k >= 0 && k <= n)) return 0;
  if (p <= 0) return k === 0 ? 1 : 0;
  if (p >= 1) return k === n ? 1 : 0;
  if (k === 0) return Math.exp(n * Math.log1p(-p));
  if (k === n) return Math.exp(n * Math.log(p));
  const rest = n - k;
  const error = stirlingError(n) - stirlingError(k) - stirlingError(rest);
  const exponent = error - deviance(k, n * p) - deviance(rest, n * (1 - p));
  return Math.sqrt(n / (2 * Math.PI * k * rest)) * Math.exp(exponent);
}

/** P(X <= k) for k at or below the mean: terms shrink downwards. */
function sumDown(k: number, n: number, p: number): number {
  const odds = (1 - p) / p;
  let term = binomialPmf(k, n, p);
  let sum = term;
  for (let i = k; i > 0 && term > sum * 1e-17; i--) {
    term *= (i / (n - i + 1)) * odds;
    sum += term;
  }
  return sum;
}

/** P(X >= k) for k at or above the mean: terms shrink upwards. */
function sumUp(k: number, n: number, p: number): number {
  const odds = p / (1 - p);
  let term = binomialPmf(k, n, p);
  let sum = term;
  for (let i = k; i < n && term > sum * 1e-17; i++) {
    term *= ((n - i) / (i + 1)) * odds;
    sum += term;
  }
  return sum;
}

/** P(X <= k). Relative error near 1e-13 below the mean, absolute above; O(sqrt(n)). */
export function lowerTail(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n || p <= 0) return 1;
  if (p >= 1) return 0;
  return k <= n * p ? sumDown(k, n, p) : 1 - sumUp(k + 1, n, p);
}

/** P(X >= k). Relative error near 1e-13 above the mean, absolute below; O(sqrt(n)). */
export function upperTail(k: number, n: number, p: number): number {
  if (k <= 0) return 1;
  if (k > n || p <= 0) return 0;
  if (p >= 1) return 1;
  return k >= n * p ? sumUp(k, n, p) : 1 - sumDown(k - 1, n, p);
}

/** Two-sided exact test of k successes in n against one half (the sign test). Null for n = 0: nothing was tested. */
export function signTest(k: number, n: number): number | null {
  checkCount(k, n);
  return n === 0 ? null : Math.min(1, 2 * lowerTail(Math.min(k, n - k), n, 0.5));
}

/** Where an increasing function of [low, high] crosses zero, to the last bit. */
function crossing(low: number, high: number, rising: (x: number) => number): number {
  let [below, above] = [low, high];
  for (;;) {
    const middle = (below + above) / 2;
    if (middle <= below || middle >= above) return middle;
    if (rising(middle) < 0) below = middle;
    else above = middle;
  }
}

/**
 * The exact interval of k of n (Clopper and Pearson, 1934): the shares that a one-sided exact test at (1 - level) / 2
 * would not refuse. Null for n = 0.
 */
export function exactInterval(k: number, n: number, level = 0.95): Interval | null {
  checkCount(k, n);
  if (n === 0) return null;
  const tail = (1 - level) / 2;
  return {
    low: k === 0 ? 0 : crossing(0, k / n, (p) => upperTail(k, n, p) - tail),
    high: k === n ? 1 : crossing(k / n, 1, (p) => tail - lowerTail(k, n, p)),
  };
}

/** Wilson's score interval of k of n at 95 % (Wilson, 1927), without continuity correction. Null for n = 0. */
export function wilsonInterval(k: number, n: number): Interval | null {
  checkCount(k, n);
  if (n === 0) return null;
  const [share, square] = [k / n, Z95 ** 2];
  const centre = (share + square / (2 * n)) / (1 + square / n);
  const half = (Z95 / (1 + square / n)) * Math.sqrt((share * (1 - share)) / n + square / (4 * n * n));
  return { low: k === 0 ? 0 : centre - half, high: k === n ? 1 : centre + half };
}

function checkCount(k: number, n: number): void {
  if (!(Number.isInteger(k) && Number.isInteger(n) && k >= 0 && k <= n)) throw new RangeError(`${k} of ${n}`);
}
