/** Two reward models on the same votes: which of them wants more often what people want. */
import type { RatingSession, Vote } from "../protocol/rating";
import { exactInterval, type Interval, signTest } from "../stats/binomial";
import { verdictTable } from "./rows";
import { modelPairs } from "./session";
import { TIE } from "./tally";

/** An item on which people decided. */
export interface DecidedPair {
  readonly item: string;
  /** Prompt and text, as a reward model reads them. */
  readonly chosen: string;
  readonly rejected: string;
}

export interface JudgeAgreement {
  readonly agreed: number;
  readonly compared: number;
  readonly share: number | null;
  readonly exact95: Interval | null;
}

export interface JudgeComparison {
  readonly before: JudgeAgreement;
  readonly after: JudgeAgreement;
  /** Pairs that only the one or only the other gets right. */
  readonly only_before: number;
  readonly only_after: number;
  /** Exact McNemar test: could the two be equally good? Null where they never differ. */
  readonly p: number | null;
}

/** The decided pairs of these items (ids as text), over all pairs of models; majorities as in the verdict. */
export function decidedPairs(session: RatingSession, votes: readonly Vote[], items: readonly string[]): DecidedPair[] {
  const wanted = new Set(items);
  return modelPairs(session.models).flatMap((pair) =>
    verdictTable(session, votes, pair).rows.flatMap((row) => {
      if (!wanted.has(row.item) || row.majority === null || row.majority === TIE) return [];
      const [a, b] = [row.prompt + row.text_a, row.prompt + row.text_b];
      return [{ item: row.item, chosen: row.majority === 0 ? a : b, rejected: row.majority === 0 ? b : a }];
    }),
  );
}

/** Rewards of the same pairs by both models; equal rewards of a pair are no agreement. */
export function compareJudges(
  before: readonly (readonly [chosen: number, rejected: number])[],
  after: readonly (readonly [chosen: number, rejected: number])[],
): JudgeComparison {
  if (before.length !== after.length) throw new RangeError(`${before.length} pairs against ${after.length}`);
  const right = ([chosen, rejected]: readonly [number, number]): boolean => chosen > rejected;
  const hits = before.map((pair, at) => [right(pair), right(after[at] ?? [0, 0])] as const);
  const agreement = (side: 0 | 1): JudgeAgreement => {
    const agreed = hits.filter((hit) => hit[side]).length;
    const compared = hits.length;
    return {
      agreed,
      compared,
      share: compared === 0 ? null : agreed / compared,
      exact95: exactInterval(agreed, compared),
    };
  };
  const only_before = hits.filter(([one, other]) => one && !other).length;
  const only_after = hits.filter(([one, other]) => !one && other).length;
  return {
    before: agreement(0),
    after: agreement(1),
    only_before,
    only_after,
    p: signTest(only_after, only_before + only_after),
  };
}
