/**
 * Blind rating: what a session asks, and the line a vote is stored as. The only declaration of both, for the pages, the
 * live host and the command line. No defaults here. What a schema cannot say (every item has a text of every model, no
 * more repeats than fit) is said by `checkSession` of `ratings/session.ts`.
 */
import { z } from "zod";
import { artefactParent } from "./artefact";

/** Names an item in votes. The number 7 and the text "7" are the same item. */
export const ratingItemId = z.union([z.string().min(1).max(200), z.int()]);

/** What people see of one model's answer, and what the reward models said about it. */
export const ratingText = z.strictObject({
  /** Name of the model: one of the session's `models`. */
  model: z.string().min(1).max(200),
  text: z.string(),
  /** By reward model, as in generations.jsonl. Never shown before the vote where `hide_reward` is set. */
  rewards: z.record(z.string(), z.number().nullable()),
});

export const ratingItem = z.strictObject({
  item: ratingItemId,
  prompt: z.string(),
  texts: z.array(ratingText).min(2).max(8),
});

export const ratingSession = z.strictObject({
  id: z.string().min(1).max(100),
  name: z.string().min(1).max(200),
  /** Milliseconds since the Unix epoch. */
  created: z.number(),
  /** What raters are asked, in their language: "どちらが肯定的なレビューとして良いですか?" */
  question: z.string().min(1).max(1000),
  models: z.array(z.string().min(1).max(200)).min(2).max(8),
  items: z.array(ratingItem).min(1).max(10_000),
  allow_tie: z.boolean(),
  allow_both_bad: z.boolean(),
  /** Pairs of models an item is shown with to each rater; all of them: models * (models - 1) / 2. */
  pairs_per_item: z.int().min(1).max(28),
  /** Showings that come a second time to each rater, sides exchanged, for self-consistency. */
  repeats: z.int().min(0).max(10_000),
  /** Order and sides of every rater follow from it. Whoever knows it can unblind: it never reaches a rater's page. */
  seed: z.int().min(0).max(0xffff_ffff),
  /** Rewards stay hidden until the vote. */
  hide_reward: z.boolean(),
  /** Where the texts come from: an evaluation artefact, or imported files. */
  parents: z.array(artefactParent),
});

/** skip: no vote, the item is missing for this rater. both_bad: counts as a tie, and says more. */
export const voteChoice = z.enum(["left", "right", "tie", "both_bad", "skip"]);

/** A line of a votes file. A second line of the same rater on the same item and models is a repeat. */
export const vote = z.strictObject({
  rater: z.union([z.string().min(1).max(200), z.int()]),
  item: ratingItemId,
  /** The model whose text stood on the left, and the other. */
  left: z.string().min(1).max(200),
  right: z.string().min(1).max(200),
  choice: voteChoice,
  /** Milliseconds from showing to vote. */
  ms: z.number().min(0),
});

/** One screen of a rater's page. Everything the page gets: no model, no reward, no item id, nothing that marks a repeat. */
export const blindShowing = z.strictObject({
  /** From 0, in the order of this rater. */
  number: z.int().min(0),
  prompt: z.string(),
  left: z.string(),
  right: z.string(),
});

/** What a rater's page gets of a session. */
export const raterPage = z.strictObject({
  session: z.string().min(1).max(100),
  rater: z.string().min(1).max(200),
  question: z.string(),
  allow_tie: z.boolean(),
  allow_both_bad: z.boolean(),
  showings: z.array(blindShowing),
});

/** What a rater's page sends back. */
export const blindVote = z.strictObject({
  number: z.int().min(0),
  choice: voteChoice,
  ms: z.number().min(0),
});

export type RatingItemId = z.infer<typeof ratingItemId>;
export type RatingText = z.infer<typeof ratingText>;
export type RatingItem = z.infer<typeof ratingItem>;
export type RatingSession = z.infer<typeof ratingSession>;
export type VoteChoice = z.infer<typeof voteChoice>;
export type Vote = z.infer<typeof vote>;
export type BlindShowing = z.infer<typeof blindShowing>;
export type RaterPage = z.infer<typeof raterPage>;
export type BlindVote = z.infer<typeof blindVote>;
