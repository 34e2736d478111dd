/** Votes on three models or more: wins for Bradley-Terry, and the votes of one pair for its own verdict. */
import type { Vote } from "../protocol/rating";
import { byCodePoint, TIE, tallyVotes } from "./tally";

export interface PairWins {
  /** Alphabetical, by code point. */
  readonly models: readonly string[];
  /** `wins[i][j]`: votes for model i against model j, ties and both_bad half in both; skips and repeats are left out. */
  readonly wins: readonly (readonly number[])[];
}

/** The votes in which these two models stood side by side. */
export function votesOfPair(votes: readonly Vote[], first: string, second: string): Vote[] {
  return votes.filter(
    ({ left, right }) => (left === first && right === second) || (left === second && right === first),
  );
}

/** As `tallyVotes` counts each pair. Throws votes.bad_line where a model stands against itself. */
export function pairWins(votes: readonly Vote[]): PairWins {
  const models = [...new Set(votes.flatMap(({ left, right }) => [left, right]))].sort(byCodePoint);
  const wins = models.map(() => new Array<number>(models.length).fill(0));
  const pairs = new Map<string, Vote[]>();
  for (const vote of votes) {
    const key = JSON.stringify([vote.left, vote.right].sort(byCodePoint));
    const own = pairs.get(key);
    if (own) own.push(vote);
    else pairs.set(key, [vote]);
  }
  for (const own of pairs.values()) {
    const tally = tallyVotes(own);
    const [i, j] = [models.indexOf(tally.models[0]), models.indexOf(tally.models[1])];
    let [a, b] = [0, 0];
    for (const { outcome } of tally.ballots) {
      a += outcome === TIE ? 0.5 : 1 - outcome;
      b += outcome === TIE ? 0.5 : outcome;
    }
    wins[i]?.splice(j, 1, a);
    wins[j]?.splice(i, 1, b);
  }
  return { models, wins };
}
