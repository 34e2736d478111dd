/**
 * Figures of verdicts, computed by a worker and kept until the votes change. While newer ones are on their way the earlier
 * ones stay; votes that come in meanwhile are counted together afterwards.
 *
 * Usage:
 *   useEffect(() => void computePair(rating, pair), [rating.votes, pair]);
 *   const figures = useFigures((s) => s.pairs[pairKey(id, pair)]);
 */
import { create } from "zustand";
import { figures } from "../clients/figures";
import type { RaterVotes } from "../shared/protocol/rating-files";
import type { Overview, PairFigures } from "../shared/ratings/figures";
import { type Fetched, fetched } from "./fetched";
import { type Rating, votesOf } from "./ratings";

export interface Computed<T> {
  /** The votes it was computed from. */
  readonly votes: readonly RaterVotes[];
  readonly value: Fetched<T>;
}

export interface FiguresState {
  /** By `pairKey`. */
  readonly pairs: Readonly<Record<string, Computed<PairFigures | null>>>;
  /** By session. */
  readonly overviews: Readonly<Record<string, Computed<Overview>>>;
  computePair(rating: Rating, pair: readonly [string, string]): Promise<void>;
  computeOverview(rating: Rating): Promise<void>;
}

export const pairKey = (id: string, pair: readonly [string, string]): string => JSON.stringify([id, ...pair]);

export const useFigures = create<FiguresState>()((set, get) => {
  /** By what is computed: the votes that were asked for last. */
  const wanted = new Map<string, Rating>();

  /** One at a time a key; asked again meanwhile, the newest votes are computed once more. */
  async function compute<T>(
    key: string,
    rating: Rating,
    known: () => Computed<T> | undefined,
    put: (computed: Computed<T>) => void,
    ask: (rating: Rating) => Promise<T>,
  ): Promise<void> {
    const before = known();
    if (before?.votes === rating.votes && before.value.status !== "failed") return;
    const underWay = wanted.has(key);
    wanted.set(key, rating);
    if (underWay) return;
    if (before === undefined) put({ votes: [], value: { status: "loading" } });
    for (let next = rating; ; ) {
      const value = await fetched(() => ask(next));
      put({ votes: next.votes, value });
      const newest = wanted.get(key);
      if (newest === undefined || newest.votes === next.votes) break;
      next = newest;
    }
    wanted.delete(key);
  }

  return {
    pairs: {},
    overviews: {},
    computePair: (rating, pair) => {
      const key = pairKey(rating.record.session.id, pair);
      return compute(
        key,
        rating,
        () => get().pairs[key],
        (computed) => set((state) => ({ pairs: { ...state.pairs, [key]: computed } })),
        (one) => figures().pair({ session: one.record.session, votes: votesOf(one), pair }),
      );
    },
    computeOverview: (rating) => {
      const { id } = rating.record.session;
      return compute(
        id,
        rating,
        () => get().overviews[id],
        (computed) => set((state) => ({ overviews: { ...state.overviews, [id]: computed } })),
        (one) => figures().overview({ session: one.record.session, votes: votesOf(one) }),
      );
    },
  };
});
