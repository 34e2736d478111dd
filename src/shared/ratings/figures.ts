/**
 * All figures of a verdict, from the session and its votes: what the results show beside the sentence. Takes seconds for a
 * large session (the bootstraps), so it runs in a worker. Definitions: docs/verdict.md.
 */
import type { RatingSession, Vote } from "../protocol/rating";
import type { Interval } from "../stats/binomial";
import { bootstrapItems, bootstrapVotes } from "../stats/bootstrap";
import { type BradleyTerry, bradleyTerry } from "../stats/bradley-terry";
import { type LengthControl, lengthControlled } from "../stats/length-control";
import { type Consistency, type RaterFigures, raterFigures, selfConsistency } from "./consistency";
import { type Leverage, leverage } from "./leverage";
import { pairWins, votesOfPair } from "./pairs";
import { type Outlier, outliers, type RewardAgainstPeople, rewardAgainstPeople } from "./reward-against-people";
import { modelPairs } from "./session";
import { byCodePoint, type ItemCounts, scoreOf, type Tally, tallyVotes } from "./tally";
import { type SideBias, sideBias, type Verdict, verdictOf } from "./verdict";

export interface FiguresRequest {
  readonly session: RatingSession;
  readonly votes: readonly Vote[];
  readonly pair: readonly [string, string];
  /** Of the bootstrap; 10 000 unless told. */
  readonly draws?: number;
}

/** A text whose reward, or an item whose difference of rewards, is far from the others. */
export interface RewardOutlier extends Outlier {
  readonly item: string;
  /** null: the difference B - A of the item. */
  readonly model: string | null;
}

export interface RewardFigures {
  readonly reward: string;
  readonly people: RewardAgainstPeople;
  readonly outliers: readonly RewardOutlier[];
}

export interface PairFigures {
  readonly verdict: Verdict;
  /** Of the win rate of B over all voted items, ties half. */
  readonly over_prompts: Interval | null;
  readonly over_votes: Interval | null;
  readonly length: LengthControl | null;
  readonly consistency: Consistency;
  readonly side: SideBias;
  readonly raters: readonly RaterFigures[];
  readonly leverage: Leverage;
  readonly rewards: readonly RewardFigures[];
  /** Items as `Leverage.votes` counts them. */
  readonly items: readonly string[];
  readonly skipped: number;
}

/** A pair of models in the overview of three or more. */
export interface PairOverview {
  readonly verdict: Verdict;
  readonly over_prompts: Interval | null;
}

export interface Overview {
  /** By pair; those without votes are left out. */
  readonly pairs: readonly PairOverview[];
  /** Models as `strengths` counts them. */
  readonly models: readonly string[];
  readonly strengths: BradleyTerry | null;
}

/** null where nobody has voted on the pair. */
export function pairFigures({ session, votes, pair, draws }: FiguresRequest): PairFigures | null {
  const own = votesOfPair(votes, ...pair);
  if (own.length === 0) return null;
  const tally = tallyVotes(own);
  const scores = tally.counts.map(scoreOf);
  const options = { seed: session.seed, ...(draws === undefined ? {} : { draws }) };
  return {
    verdict: verdictOf(tally),
    over_prompts: bootstrapItems(scores, options),
    over_votes: bootstrapVotes(tally.counts, scoreOf, options),
    length: lengthControlled(scores, lengthDifferences(session, tally)),
    consistency: selfConsistency(tally.repeats),
    side: sideBias(tally.ballots),
    raters: raterFigures(tally),
    leverage: leverage(tally),
    rewards: rewardNames(session).map((reward) => rewardFigures(session, tally, reward)),
    items: tally.items,
    skipped: tally.skipped,
  };
}

/** Every pair's verdict, and strengths where there are three models or more. */
export function overview({ session, votes, draws }: Omit<FiguresRequest, "pair">): Overview {
  const options = { seed: session.seed, ...(draws === undefined ? {} : { draws }) };
  const pairs = modelPairs(session.models).flatMap((pair) => {
    const own = votesOfPair(votes, ...pair);
    if (own.length === 0) return [];
    const tally = tallyVotes(own);
    return [{ verdict: verdictOf(tally), over_prompts: bootstrapItems(tally.counts.map(scoreOf), options) }];
  });
  const { models, wins } = pairWins(votes);
  return { pairs, models, strengths: models.length < 3 ? null : bradleyTerry(wins) };
}

/** Reward models whose rewards some text of the session carries. */
export function rewardNames(session: RatingSession): string[] {
  const names = session.items.flatMap(({ texts }) => texts.flatMap(({ rewards }) => Object.keys(rewards)));
  return [...new Set(names)].sort(byCodePoint);
}

type Texts = ReadonlyMap<string, { readonly text: string; readonly rewards: Readonly<Record<string, number | null>> }>;

/** By item, as text, then by model. */
function textsOf(session: RatingSession): Map<string, Texts> {
  return new Map(
    session.items.map(({ item, texts }) => [String(item), new Map(texts.map((text) => [text.model, text]))]),
  );
}

/** Characters of B's text minus A's, in the order of the tally's items; 0 for items the session does not know. */
function lengthDifferences(session: RatingSession, { models: [a, b], items }: Tally): number[] {
  const texts = textsOf(session);
  const length = (item: string, model: string): number => [...(texts.get(item)?.get(model)?.text ?? "")].length;
  return items.map((item) => length(item, b) - length(item, a));
}

function rewardFigures(session: RatingSession, { models: [a, b], items, counts }: Tally, reward: string) {
  const texts = textsOf(session);
  const of = (item: string, model: string): number | null => texts.get(item)?.get(model)?.rewards[reward] ?? null;
  const none: ItemCounts = [0, 0, 0];
  const judged = items.map((item, at) => ({
    item,
    counts: counts[at] ?? none,
    reward_a: of(item, a),
    reward_b: of(item, b),
  }));
  const single = [a, b].flatMap((model) => session.items.map(({ item }) => ({ item: String(item), model })));
  const far = outliers(single.map(({ item, model }) => of(item, model) ?? Number.NaN));
  const all = session.items.map(({ item }) => String(item));
  const apart = outliers(all.map((item) => (of(item, b) ?? Number.NaN) - (of(item, a) ?? Number.NaN)));
  return {
    reward,
    people: rewardAgainstPeople(judged),
    outliers: [
      ...far.map((one) => ({
        ...one,
        item: single[one.index]?.item ?? "",
        model: single[one.index]?.model ?? "",
      })),
      ...apart.map((one) => ({ ...one, item: all[one.index] ?? "", model: null })),
    ],
  };
}
