/**
 * Who sees what, when and on which side: each rater's order follows from the session's seed and the rater's name alone,
 * so it needs no storage and no server, and a reload shows the same screen.
 *
 * Per rater: every pair of models is shown equally often each way round (within one), and so are all pairs together;
 * every pair is used equally often (within one); an item that is shown with several pairs comes back only after half of
 * the items; repeats come with exchanged sides, `repeatGap` showings or more after the first time.
 */
import type { BlindVote, RaterPage, RatingItemId, RatingSession, Vote } from "../protocol/rating";
import { Random } from "../stats/random";
import { checkSession, modelPairs, showingsOf } from "./session";

/** A showing with its secrets: stays with the host of the session. */
export interface PlannedShowing {
  readonly item: RatingItemId;
  readonly left: string;
  readonly right: string;
  /** Shown before, the other way round. */
  readonly repeat: boolean;
}

interface Draft {
  readonly item: RatingItemId;
  readonly pair: readonly [string, string];
  /** The pair's first model stands on the left. */
  readonly straight: boolean;
}

/** Showings between a repeat and what it repeats, at least: half of all, 20 at most. */
export const repeatGap = (session: Pick<RatingSession, "items" | "pairs_per_item">): number =>
  Math.min(20, Math.floor(showingsOf(session) / 2));

/** The rater's name as a stream of the session's seed (32-bit FNV-1a over UTF-16 units). */
function stream(rater: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < rater.length; i++) hash = Math.imul(hash ^ rater.charCodeAt(i), 0x0100_0193) >>> 0;
  return hash;
}

/** The rater's showings in order. Throws rating.invalid, see `checkSession`. */
export function planShowings(session: RatingSession, rater: string): PlannedShowing[] {
  checkSession(session);
  const random = Random.seeded(session.seed, stream(rater));
  const firsts = drawSides(drawRounds(session, random), random);
  const again = drawRepeats(firsts, session.repeats, random);
  const gap = repeatGap(session);
  /** Repeats that come right after the first-time showing of this index. */
  const after = new Map<number, Draft[]>();
  for (const at of again) {
    const first = firsts[at];
    if (!first) continue;
    const earliest = Math.max(at + gap, Math.floor(firsts.length / 2));
    const slot = earliest + random.below(firsts.length - earliest);
    after.set(slot, [...(after.get(slot) ?? []), { ...first, straight: !first.straight }]);
  }
  return firsts.flatMap((first, at) => [
    planned(first, false),
    ...(after.get(at) ?? []).map((draft) => planned(draft, true)),
  ]);
}

function planned({ item, pair: [first, second], straight }: Draft, repeat: boolean): PlannedShowing {
  return { item, left: straight ? first : second, right: straight ? second : first, repeat };
}

/** Which item with which pair, in order; sides still to be drawn. */
function drawRounds({ models, items, pairs_per_item }: RatingSession, random: Random): Omit<Draft, "straight">[] {
  const pairs = random.shuffle(modelPairs(models));
  const order = random.shuffle(items.map(({ item }) => item));
  const place = new Map(order.map((item, at) => [item, at]));
  const half = Math.ceil(order.length / 2);
  const drafts: Omit<Draft, "straight">[] = [];
  for (let round = 0; round < pairs_per_item; round++) {
    // Each half is shuffled within itself: an item comes back after half of the items or more.
    const shown = [...random.shuffle(order.slice(0, half)), ...random.shuffle(order.slice(half))];
    for (const item of shown) {
      const pair = pairs[((place.get(item) ?? 0) * pairs_per_item + round) % pairs.length];
      if (pair) drafts.push({ item, pair });
    }
  }
  return drafts;
}

/** Half of every pair's showings each way round; where a pair's number is odd, the extra one alternates over the pairs. */
function drawSides(drafts: readonly Omit<Draft, "straight">[], random: Random): Draft[] {
  const byPair = new Map<readonly [string, string], number[]>();
  for (const [at, { pair }] of drafts.entries()) {
    const own = byPair.get(pair);
    if (own) own.push(at);
    else byPair.set(pair, [at]);
  }
  const straight = new Array<boolean>(drafts.length).fill(false);
  let extra = random.below(2);
  for (const places of byPair.values()) {
    random.shuffle(places);
    const count = Math.floor((places.length + extra) / 2);
    if (places.length % 2 === 1) extra = 1 - extra;
    for (const at of places.slice(0, count)) straight[at] = true;
  }
  return drafts.map((draft, at) => ({ ...draft, straight: straight[at] ?? false }));
}

/** Indexes of the showings that come again: out of the first half, so that there is room, and as balanced as it allows. */
function drawRepeats(firsts: readonly Draft[], repeats: number, random: Random): number[] {
  const pool = random.shuffle([...firsts.keys()].slice(0, Math.ceil(firsts.length / 2)));
  let balance = firsts.reduce((sum, { straight }) => sum + (straight ? 1 : -1), 0);
  const chosen: number[] = [];
  while (chosen.length < repeats && pool.length > 0) {
    // A repeat is shown the other way round: repeating a straight one takes one from the balance.
    const wanted = balance > 0 || (balance === 0 && random.below(2) === 1);
    const found = pool.findIndex((at) => firsts[at]?.straight === wanted);
    const [at] = pool.splice(Math.max(0, found), 1);
    if (at === undefined) break;
    balance -= firsts[at]?.straight ? 1 : -1;
    chosen.push(at);
  }
  return chosen;
}

/** What the rater's page gets: texts and nothing that could unblind. Throws rating.invalid, see `checkSession`. */
export function pageFor(session: RatingSession, rater: string): RaterPage {
  const items = new Map(session.items.map((item) => [item.item, item]));
  const textOf = (item: RatingItemId, model: string): string =>
    items.get(item)?.texts.find((text) => text.model === model)?.text ?? "";
  return {
    session: session.id,
    rater,
    question: session.question,
    allow_tie: session.allow_tie,
    allow_both_bad: session.allow_both_bad,
    showings: planShowings(session, rater).map(({ item, left, right }, number) => ({
      number,
      prompt: items.get(item)?.prompt ?? "",
      left: textOf(item, left),
      right: textOf(item, right),
    })),
  };
}

/**
 * The lines of a votes file from what a rater's page sent back, in the order of the showings, so that a repeat follows
 * what it repeats. A number that was voted on twice (undo) counts as it was voted last; numbers that were never shown and
 * choices that the session does not allow are left out.
 */
export function unblind(session: RatingSession, rater: string, answers: readonly BlindVote[]): Vote[] {
  const last = new Map(answers.map((answer) => [answer.number, answer]));
  return planShowings(session, rater).flatMap(({ item, left, right }, number) => {
    const answer = last.get(number);
    if (!answer || (answer.choice === "tie" && !session.allow_tie)) return [];
    if (answer.choice === "both_bad" && !session.allow_both_bad) return [];
    return [{ rater, item, left, right, choice: answer.choice, ms: answer.ms }];
  });
}
