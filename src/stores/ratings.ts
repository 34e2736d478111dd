/**
 * Rating sessions of this browser, their raters' votes, and bundles that were opened here to rate.
 *
 * Usage:
 *   const rating = useRatings((s) => s.ratings[id]);              // {record, votes}; undefined: no such session
 *   const source = localSource(id, "山田");                        // stores/rater-sources.ts: for the rater's page
 *   await useRatings.getState().takeVotes(id, rater, answers, "live");
 * Call `load()` once at start; from then on it follows other tabs. Actions reject with a NagiError.
 */
import { create } from "zustand";
import {
  deleteBundle,
  deleteRecord,
  deleteVotes,
  loadRatings,
  saveBundle,
  saveRecord,
  saveVotes,
  watchRatings,
} from "../persist/ratings";
import { askToPersist } from "../persist/storage";
import { type ErrorData, NagiError, toErrorData } from "../shared/errors";
import type { BlindVote, Vote } from "../shared/protocol/rating";
import type { MadePairs, OpenedBundle, RaterVotes, RatingRecord, VoteSource } from "../shared/protocol/rating-files";
import { readBundle, readVotesFile } from "../shared/ratings/bundle";
import { unblind } from "../shared/ratings/plan";
import { checkSession } from "../shared/ratings/session";

export interface Rating {
  readonly record: RatingRecord;
  /** By rater's name, in the order of the names. */
  readonly votes: readonly RaterVotes[];
}

export interface RatingsState {
  readonly loaded: boolean;
  readonly loadError: ErrorData | null;
  readonly ratings: Readonly<Record<string, Rating>>;
  /** By digest. */
  readonly bundles: Readonly<Record<string, OpenedBundle>>;
  load(): Promise<void>;
  create(record: RatingRecord): Promise<void>;
  delete(id: string): Promise<void>;
  /** Replaces the rater's votes. Refused (rating.duplicate) where they came another way than `source`. */
  takeVotes(id: string, rater: string, answers: readonly BlindVote[], source: VoteSource): Promise<void>;
  /** Votes files that raters sent back. Errors: rating.bad_file, rating.foreign, rating.duplicate. */
  importVotes(id: string, files: readonly File[]): Promise<RaterVotes[]>;
  removeRater(id: string, rater: string): Promise<void>;
  addMade(id: string, made: MadePairs): Promise<void>;
  /** Keeps a bundle to rate here; its digest. One that is here already goes on where it was. Errors: rating.bad_file. */
  openBundle(file: File): Promise<string>;
  removeBundle(digest: string): Promise<void>;
  /** What a page has stored by itself. */
  follow(votes: RaterVotes): void;
  followBundle(bundle: OpenedBundle): void;
}

export const useRatings = create<RatingsState>()((set, get) => {
  const withRating = (id: string, change: (rating: Rating) => Rating): void =>
    set((state) => {
      const rating = state.ratings[id];
      return rating === undefined ? state : { ratings: { ...state.ratings, [id]: change(rating) } };
    });
  const needed = (id: string): Rating => {
    const rating = get().ratings[id];
    if (rating !== undefined) return rating;
    throw new NagiError("rating.not_found", `There is no rating session ${id} in this browser.`, { id });
  };
  const follow = (votes: RaterVotes): void =>
    withRating(votes.session, (rating) => ({ ...rating, votes: withVotes(rating.votes, votes) }));

  return {
    loaded: false,
    loadError: null,
    ratings: {},
    bundles: {},
    async load() {
      watchRatings(() => void get().load());
      try {
        const { records, votes, bundles } = await loadRatings();
        const before = get().ratings;
        const ratings = records.map((record): [string, Rating] => {
          const { id } = record.session;
          const own = votes.filter(({ session }) => session === id).sort(byRater);
          return [id, { record, votes: own.map((one) => unchanged(before[id]?.votes, one)) }];
        });
        set({
          ratings: Object.fromEntries(ratings),
          bundles: Object.fromEntries(bundles),
          loaded: true,
          loadError: null,
        });
      } catch (error) {
        set({ loaded: true, loadError: toErrorData(error) });
      }
    },
    async create(record) {
      checkSession(record.session);
      void askToPersist();
      await saveRecord(record);
      set((state) => ({ ratings: { ...state.ratings, [record.session.id]: { record, votes: [] } } }));
    },
    async delete(id) {
      await deleteRecord(id);
      set((state) => ({ ratings: without(state.ratings, id) }));
    },
    async takeVotes(id, rater, answers, source) {
      const { votes } = needed(id);
      const known = votes.find((one) => one.rater === rater);
      if (known !== undefined && known.source !== source) throw duplicate(rater, rater);
      const taken: RaterVotes = { session: id, rater, source, answers: [...answers] };
      if (known !== undefined && JSON.stringify(known) === JSON.stringify(taken)) return;
      await saveVotes(taken);
      follow(taken);
    },
    async importVotes(id, files) {
      const { record, votes } = needed(id);
      const taken: RaterVotes[] = [];
      // All are read before the first is stored: a wrong file among them changes nothing.
      for (const file of files) {
        const { rater, answers } = await readVotesFile(await textOf(file), file.name, record.session);
        if ([...votes, ...taken].some((one) => one.rater === rater)) throw duplicate(file.name, rater);
        taken.push({ session: id, rater, source: "file", answers });
      }
      for (const one of taken) {
        await saveVotes(one);
        follow(one);
      }
      return taken;
    },
    async removeRater(id, rater) {
      await deleteVotes(id, rater);
      withRating(id, (rating) => ({ ...rating, votes: rating.votes.filter((one) => one.rater !== rater) }));
    },
    async addMade(id, made) {
      const { record } = needed(id);
      const next = { ...record, made: [...record.made, made] };
      await saveRecord(next);
      withRating(id, (rating) => ({ ...rating, record: next }));
    },
    async openBundle(file) {
      const bundle = await readBundle(await textOf(file), file.name);
      if (get().bundles[bundle.digest] === undefined) {
        void askToPersist();
        await saveBundle({ bundle, answers: [] });
        get().followBundle({ bundle, answers: [] });
      }
      return bundle.digest;
    },
    async removeBundle(digest) {
      await deleteBundle(digest);
      set((state) => ({ bundles: without(state.bundles, digest) }));
    },
    follow,
    followBundle(bundle) {
      set((state) => ({ bundles: { ...state.bundles, [bundle.bundle.digest]: bundle } }));
    },
  };
});

const unblinded = new WeakMap<RaterVotes, readonly Vote[]>();

/** All votes of a session as lines of a votes file, the raters in the order of their names. */
export function votesOf({ record, votes }: Rating): Vote[] {
  return votes.flatMap((one) => {
    const known = unblinded.get(one);
    if (known !== undefined) return known;
    const lines = unblind(record.session, one.rater, one.answers);
    unblinded.set(one, lines);
    return lines;
  });
}

function withVotes(votes: readonly RaterVotes[], changed: RaterVotes): RaterVotes[] {
  return [...votes.filter(({ rater }) => rater !== changed.rater), changed].sort(byRater);
}

/** The object that is shown already, where nothing of it has changed: what was computed from it stays. */
function unchanged(known: readonly RaterVotes[] | undefined, read: RaterVotes): RaterVotes {
  const same = known?.find(({ rater }) => rater === read.rater);
  return same !== undefined && JSON.stringify(same) === JSON.stringify(read) ? same : read;
}

function byRater(one: RaterVotes, other: RaterVotes): number {
  return one.rater < other.rater ? -1 : one.rater > other.rater ? 1 : 0;
}

function without<T>(of: Readonly<Record<string, T>>, key: string): Record<string, T> {
  return Object.fromEntries(Object.entries(of).filter(([name]) => name !== key));
}

function duplicate(file: string, rater: string): NagiError {
  return new NagiError(
    "rating.duplicate",
    `${file}: this session has votes of ${rater} already. Nothing was changed; remove that rater's votes first to take these instead.`,
    { file, rater },
  );
}

async function textOf(file: File): Promise<string> {
  try {
    return await file.text();
  } catch (cause) {
    const reason = "the browser can no longer read it; it was moved or changed since it was chosen";
    const message = `${file.name}: ${reason}. Choose it again.`;
    throw new NagiError("data.unreadable", message, { file: file.name, reason, line: 0 }, { cause });
  }
}
