/**
 * Where a rater's page gets its showings from and leaves its votes: this browser's storage, a bundle file, a live session.
 * The page knows nothing else, so none of them can unblind it.
 */
import type { BlindVote, RaterPage } from "../protocol/rating";

export interface RaterState {
  readonly page: RaterPage;
  /** Votes of this rater that are kept already, one a number: a reload goes on at the first showing without one. */
  readonly answers: readonly BlindVote[];
}

/** Whether votes get through; for the note on the page. */
export interface RaterLink {
  readonly online: boolean;
  /** Votes that are kept here and not yet with the host. */
  readonly unsent: number;
}

/** Rewards of a showing's two texts, by reward model. */
export interface ShownRewards {
  readonly left: Readonly<Record<string, number | null>>;
  readonly right: Readonly<Record<string, number | null>>;
}

/** Every method rejects with a NagiError. */
export interface RaterSource {
  state(): Promise<RaterState>;
  /** Resolves once the vote cannot be lost any more. Again for the same number: replaces it. */
  vote(vote: BlindVote): Promise<void>;
  /** Takes the vote on a showing back; nothing where there is none. */
  undo(number: number): Promise<void>;
  /** Live sessions only: told now and at every change. Returns a function that ends it. */
  watch?(listener: (link: RaterLink) => void): () => void;
  /** Only where the session shows rewards (`hide_reward` off) on the host's own machine. */
  rewards?(number: number): Promise<ShownRewards>;
}
