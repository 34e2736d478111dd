/** What a rating session's schema cannot say. */
import { NagiError } from "../errors";
import type { RatingSession } from "../protocol/rating";

/** Pairs of models that can be shown: [first, second] with first before second in the session's order. */
export function modelPairs(models: readonly string[]): [string, string][] {
  return models.flatMap((first, at) => models.slice(at + 1).map((second): [string, string] => [first, second]));
}

/** Showings of a rater without the repeats. */
export const showingsOf = (session: Pick<RatingSession, "items" | "pairs_per_item">): number =>
  session.items.length * session.pairs_per_item;

/** The most repeats that can be kept apart from what they repeat: half of the showings, rounded up. */
export const maxRepeats = (session: Pick<RatingSession, "items" | "pairs_per_item">): number =>
  Math.ceil(showingsOf(session) / 2);

/**
 * Throws rating.invalid {session, path, problem} for the first thing that does not fit: models or items twice, an item
 * without a text of a model, more pairs than there are, more repeats than fit.
 */
export function checkSession(session: RatingSession): void {
  const refuse = (path: string, problem: string): never => {
    throw new NagiError("rating.invalid", `rating session "${session.name}": ${path}: ${problem}.`, {
      session: session.name,
      path,
      problem,
    });
  };
  const { models, items } = session;
  for (const [at, model] of models.entries())
    if (models.indexOf(model) !== at) refuse(`models.${at}`, `"${model}" is named twice; give each model its own name`);
  const seen = new Set<string>();
  for (const [at, item] of items.entries()) {
    const id = String(item.item);
    if (seen.has(id)) refuse(`items.${at}.item`, `"${id}" is there twice; give each item its own id`);
    seen.add(id);
    const found = item.texts.map(({ model }) => model);
    const missing = models.find((model) => !found.includes(model));
    if (missing !== undefined) refuse(`items.${at}.texts`, `no text of "${missing}"; add it or leave the item out`);
    if (found.length !== models.length)
      refuse(`items.${at}.texts`, `${found.length} texts for ${models.length} models; leave one text a model`);
  }
  const pairs = (models.length * (models.length - 1)) / 2;
  if (session.pairs_per_item > pairs)
    refuse("pairs_per_item", `${session.pairs_per_item} of the ${pairs} pairs that ${models.length} models make`);
  if (session.repeats > maxRepeats(session))
    refuse("repeats", `${session.repeats} is too many to keep apart; at most ${maxRepeats(session)} fit`);
}
