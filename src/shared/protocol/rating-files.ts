/** What a host keeps of a rating session, and the two files that travel between host and rater. No defaults here. */
import { z } from "zod";
import { sha256 } from "./artefact";
import { blindVote, raterPage, ratingSession } from "./rating";

/** A model of a session, as far as the host knows where it comes from. Never leaves the host. */
export const ratedModel = z.strictObject({
  /** One of the session's `models`. */
  name: z.string().min(1),
  /** An artefact's id, or a reference such as `bundled:nagi-base`; null for imported texts. */
  source: z.string().min(1).nullable(),
  /** Mean KL to the evaluation's first model over its texts, nats a text; null where not computed. */
  kl: z.number().nullable(),
});

/** A reward model whose rewards the texts carry. */
export const ratedReward = z.strictObject({
  /** Key of `RatingText.rewards`. */
  name: z.string().min(1),
  /** The reward model's artefact; null for imported rewards. */
  source: sha256.nullable(),
});

/** Pairs that were made of a session's votes. */
export const madePairs = z.strictObject({
  /** The artefact of the kind "preferences". */
  artefact: sha256,
  pairs: z.int().min(1),
  /** Items whose votes were kept back, to compare reward models on. Their ids as text. */
  held_out: z.array(z.string()),
  /** Milliseconds since the Unix epoch. */
  created: z.number(),
});

/** Everything the host keeps besides the votes. */
export const ratingRecord = z.strictObject({
  session: ratingSession,
  models: z.array(ratedModel),
  rewards: z.array(ratedReward),
  made: z.array(madePairs),
});

/** turn: on the host's machine. file: a votes file that was imported. live: over the relay. */
export const voteSource = z.enum(["turn", "file", "live"]);

/** The votes of one rater, as they are kept. */
export const raterVotes = z.strictObject({
  session: z.string().min(1),
  rater: z.string().min(1).max(200),
  source: voteSource,
  /** One a number. */
  answers: z.array(blindVote),
});

/** What a rater gets: the page and nothing else. No model, no reward, no item id, no seed. */
export const raterBundle = z.strictObject({
  format: z.literal("nagi-rating-bundle"),
  version: z.literal(1),
  /** `pageDigest` of the page: the votes name it, so that they cannot be counted for other texts. */
  digest: sha256,
  page: raterPage,
});

/** What a rater sends back. */
export const raterVotesFile = z.strictObject({
  format: z.literal("nagi-rating-votes"),
  version: z.literal(1),
  digest: sha256,
  session: z.string().min(1),
  rater: z.string().min(1).max(200),
  answers: z.array(blindVote),
});

/** A bundle that was opened here, with the votes so far. */
export const openedBundle = z.strictObject({ bundle: raterBundle, answers: z.array(blindVote) });

export type RatedModel = z.infer<typeof ratedModel>;
export type RatedReward = z.infer<typeof ratedReward>;
export type MadePairs = z.infer<typeof madePairs>;
export type RatingRecord = z.infer<typeof ratingRecord>;
export type VoteSource = z.infer<typeof voteSource>;
export type RaterVotes = z.infer<typeof raterVotes>;
export type RaterBundle = z.infer<typeof raterBundle>;
export type RaterVotesFile = z.infer<typeof raterVotesFile>;
export type OpenedBundle = z.infer<typeof openedBundle>;
