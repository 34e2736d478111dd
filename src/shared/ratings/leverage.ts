/** How much the verdict hangs on single votes and on single raters: what happens when one is taken out. */
import { signTest } from "../stats/binomial";
import { type ItemCounts, majority, type Outcome, type Tally, TIE } from "./tally";

/** Who leads, by majorities; null where nobody does. */
export type Leader = "A" | "B" | null;

export interface Standing {
  readonly leader: Leader;
  readonly win_rate_b: number | null;
  readonly sign_test_p: number | null;
  /** sign_test_p below 5 %. */
  readonly significant: boolean;
}

export interface VoteLeverage {
  /** Index into `Tally.items`. */
  readonly item: number;
  /** What the vote says; all votes of an item that say the same have the same leverage. */
  readonly outcome: Outcome;
  /** Votes of the item that say it. */
  readonly votes: number;
  readonly without: Standing;
}

export interface RaterLeverage {
  readonly rater: string;
  readonly without: Standing;
}

export interface Leverage {
  readonly standing: Standing;
  /** Votes whose removal changes their item's majority, the leader, or whether the result is significant. */
  readonly change_majority: number;
  readonly change_leader: number;
  readonly change_significance: number;
  /** Those that change an item's majority, the largest shift of the win rate first. */
  readonly votes: readonly VoteLeverage[];
  /** Items stay, also those that only this rater voted on. */
  readonly raters: readonly RaterLeverage[];
}

type Wins = readonly [a: number, b: number, tie: number];

function standing([a, b, tie]: Wins): Standing {
  const items = a + b + tie;
  const p = signTest(b, a + b);
  return {
    leader: a === b ? null : a > b ? "A" : "B",
    win_rate_b: items === 0 ? null : (b + tie / 2) / items,
    sign_test_p: p,
    significant: p !== null && p < 0.05,
  };
}

function winsOf(counts: Iterable<ItemCounts>): Wins {
  const wins: [number, number, number] = [0, 0, 0];
  for (const row of counts) wins[majority(row)]++;
  return wins;
}

const moved = (wins: Wins, from: Outcome, to: Outcome): Wins => {
  const next: [number, number, number] = [...wins];
  next[from]--;
  next[to]++;
  return next;
};

export function leverage(tally: Tally): Leverage {
  const wins = winsOf(tally.counts);
  const now = standing(wins);
  const votes: VoteLeverage[] = [];
  for (const [item, row] of tally.counts.entries())
    for (const outcome of [0, 1, TIE] as const) {
      const count = row[outcome];
      if (count === 0) continue;
      const rest: [number, number, number] = [...row];
      rest[outcome]--;
      const [before, after] = [majority(row), majority(rest)];
      if (before !== after) votes.push({ item, outcome, votes: count, without: standing(moved(wins, before, after)) });
    }
  const sum = (changes: (without: Standing) => boolean): number =>
    votes.reduce((total, one) => total + (changes(one.without) ? one.votes : 0), 0);
  const shift = ({ without }: VoteLeverage): number => Math.abs((without.win_rate_b ?? 0) - (now.win_rate_b ?? 0));
  return {
    standing: now,
    change_majority: sum(() => true),
    change_leader: sum(({ leader }) => leader !== now.leader),
    change_significance: sum(({ significant }) => significant !== now.significant),
    votes: votes.sort((one, other) => shift(other) - shift(one)),
    raters: withoutRaters(tally, wins),
  };
}

function withoutRaters({ raters, ballots, counts }: Tally, wins: Wins): RaterLeverage[] {
  const own = raters.map((): Tally["ballots"][number][] => []);
  for (const ballot of ballots) own[ballot.rater]?.push(ballot);
  return raters.map((rater, at) => {
    let left = wins;
    // A rater has one counted vote an item, so items change independently.
    for (const { item, outcome } of own[at] ?? []) {
      const row = counts[item];
      if (!row) continue;
      const rest: [number, number, number] = [...row];
      rest[outcome]--;
      left = moved(left, majority(row), majority(rest));
    }
    return { rater, without: standing(left) };
  });
}
