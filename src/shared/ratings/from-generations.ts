/** Items of a rating session out of an evaluation's texts. */
import { NagiError } from "../errors";
import type { Generation } from "../protocol/artefact";
import type { RatingItem } from "../protocol/rating";
import { Random } from "../stats/random";

/**
 * `count` items drawn by `seed` out of those on which every one of `models` wrote a text, in the order of the evaluation;
 * all of them where `count` is null. Throws rating.invalid {session, path, problem} where there are fewer, naming the model
 * that lacks most.
 */
export function ratingItems(
  generations: readonly Generation[],
  models: readonly string[],
  count: number | null,
  seed: number,
): RatingItem[] {
  const byItem = new Map<number, Map<string, Generation>>();
  for (const one of generations) {
    const own = byItem.get(one.item) ?? new Map<string, Generation>();
    byItem.set(one.item, own.set(one.model, one));
  }
  const whole = [...byItem].filter(([, own]) => models.every((model) => own.has(model))).sort(([a], [b]) => a - b);
  if (whole.length === 0 || (count !== null && whole.length < count)) {
    const written = models.map((model) => [...byItem.values()].filter((own) => own.has(model)).length);
    const fewest = models[written.indexOf(Math.min(...written))] ?? "";
    const problem = `${count ?? "some"} items are wanted, ${whole.length} have a text of every model ("${fewest}" has ${Math.min(...written)}); take fewer, or evaluate more prompts`;
    throw new NagiError("rating.invalid", `rating session: items: ${problem}.`, {
      session: "",
      path: "items",
      problem,
    });
  }
  const drawn = new Set(
    Random.seeded(seed, 3)
      .shuffle(whole.map(([item]) => item))
      .slice(0, count ?? undefined),
  );
  return whole
    .filter(([item]) => drawn.has(item))
    .map(([item, own]) => ({
      item,
      prompt: own.get(models[0] ?? "")?.prompt ?? "",
      texts: models.map((model) => {
        const one = own.get(model);
        return { model, text: one?.text ?? "", rewards: one?.rewards ?? {} };
      }),
    }));
}
