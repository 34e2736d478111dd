/** Whether raters agree with themselves: votes on an item against the same rater's later votes on it. */
import { exactInterval, type Interval } from "../stats/binomial";
import type { Ballot, Repeat, Tally } from "./tally";
import { type SideBias, sideBias } from "./verdict";

export interface Consistency {
  /** Repeats, and those with the same outcome (A, B or tie) as the vote that counts. */
  readonly repeats: number;
  readonly same: number;
  readonly share: number | null;
  readonly exact95: Interval | null;
}

export function selfConsistency(repeats: readonly Pick<Repeat, "first" | "again">[]): Consistency {
  const same = repeats.filter(({ first, again }) => first === again).length;
  const count = repeats.length;
  return { repeats: count, same, share: count === 0 ? null : same / count, exact95: exactInterval(same, count) };
}

export interface RaterFigures {
  readonly rater: string;
  readonly votes: number;
  readonly consistency: Consistency;
  readonly side: SideBias;
}

/** One row a rater, in the order of `tally.raters`. */
export function raterFigures(tally: Pick<Tally, "raters" | "ballots" | "repeats">): RaterFigures[] {
  const ballots = tally.raters.map((): Ballot[] => []);
  const repeats = tally.raters.map((): Repeat[] => []);
  for (const ballot of tally.ballots) ballots[ballot.rater]?.push(ballot);
  for (const repeat of tally.repeats) repeats[repeat.rater]?.push(repeat);
  return tally.raters.map((rater, at) => ({
    rater,
    votes: ballots[at]?.length ?? 0,
    consistency: selfConsistency(repeats[at] ?? []),
    side: sideBias(ballots[at] ?? []),
  }));
}
