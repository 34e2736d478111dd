/** What a rating session can be made of, and the session that a filled form describes. Pure. */
import type { ArtefactRecord, Generation } from "../../shared/protocol/artefact";
import type { RatingItem, RatingSession } from "../../shared/protocol/rating";
import type { RatedModel, RatedReward, RatingRecord } from "../../shared/protocol/rating-files";
import type { ImportedTexts } from "../../shared/ratings/from-files";
import { ratingItems } from "../../shared/ratings/from-generations";
import { modelPairs } from "../../shared/ratings/session";
import { Random } from "../../shared/stats/random";

export interface TextSource {
  readonly models: readonly RatedModel[];
  readonly rewards: readonly RatedReward[];
  /** Items that have a text of each of these models. */
  available(models: readonly string[]): number;
  /** `count` of them, drawn by the seed. Throws rating.invalid. */
  items(models: readonly string[], count: number, seed: number): RatingItem[];
  readonly parents: RatingSession["parents"];
}

const ARTEFACT = "artefact:";

/** The texts of an evaluation; names of models and reward models as a person knows them. */
export function evaluationSource(
  record: ArtefactRecord,
  generations: readonly Generation[],
  artefacts: readonly ArtefactRecord[],
): TextSource {
  const stage = record.stage?.stage === "evaluate" ? record.stage : null;
  const slots = [...new Set(generations.map(({ model }) => model))];
  const rewardSlots = [...new Set(generations.flatMap(({ rewards }) => Object.keys(rewards)))];
  const parent = (field: "models" | "reward_models", slot: string): string | null => {
    const place = stage?.[field].indexOf(slot) ?? -1;
    return record.parents.find((one) => one.slot === `${field}.${place}`)?.id ?? null;
  };
  const name = namesFor(artefacts);
  const modelNames = new Map(slots.map((slot) => [slot, name(slot, parent("models", slot))]));
  const nameReward = namesFor(artefacts);
  const rewardNames = new Map(rewardSlots.map((slot) => [slot, nameReward(slot, parent("reward_models", slot))]));
  const slotOf = new Map([...modelNames].map(([slot, shown]) => [shown, slot]));
  const slotsOf = (models: readonly string[]): string[] => models.map((model) => slotOf.get(model) ?? model);
  return {
    models: slots.map((slot) => ({
      name: modelNames.get(slot) ?? slot,
      source: parent("models", slot),
      kl: meanKl(generations, slot),
    })),
    rewards: rewardSlots.map((slot) => {
      const id = parent("reward_models", slot);
      return { name: rewardNames.get(slot) ?? slot, source: id !== null && /^[0-9a-f]{64}$/.test(id) ? id : null };
    }),
    available: (models) => {
      const wanted = slotsOf(models);
      const written = new Map<number, Set<string>>();
      for (const { item, model } of generations) written.set(item, (written.get(item) ?? new Set()).add(model));
      return [...written.values()].filter((own) => wanted.every((slot) => own.has(slot))).length;
    },
    items: (models, count, seed) =>
      ratingItems(generations, slotsOf(models), count, seed).map((item) => ({
        ...item,
        texts: item.texts.map(({ model, text, rewards }) => ({
          model: modelNames.get(model) ?? model,
          text,
          rewards: Object.fromEntries(
            Object.entries(rewards).map(([key, value]) => [rewardNames.get(key) ?? key, value]),
          ),
        })),
      })),
    parents: [{ slot: "texts", id: record.id }],
  };
}

/** `artefact:SHA256` is called what its record is called; nobody's name is used twice. */
function namesFor(artefacts: readonly ArtefactRecord[]): (slot: string, id: string | null) => string {
  const taken = new Set<string>();
  return (slot, id) => {
    const known = slot.startsWith(ARTEFACT) ? artefacts.find((one) => one.id === id)?.name : undefined;
    const plain = (known ?? slot.replace(ARTEFACT, "")).slice(0, 180);
    let name = plain;
    for (let k = 2; taken.has(name); k++) name = `${plain}-${k}`;
    taken.add(name);
    return name;
  };
}

function meanKl(generations: readonly Generation[], slot: string): number | null {
  const known = generations.flatMap(({ model, kl }) => (model === slot && kl !== null ? [kl] : []));
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** Imported files. */
export function fileSource({ models, rewards, items, kl }: ImportedTexts): TextSource {
  return {
    models: models.map((name) => ({ name, source: null, kl: kl.get(name) ?? null })),
    rewards: rewards.map((name) => ({ name, source: null })),
    available: () => items.length,
    items: (chosen, count, seed) => {
      const drawn = new Set(
        Random.seeded(seed, 3)
          .shuffle([...items.keys()])
          .slice(0, count),
      );
      return items
        .filter((_, at) => drawn.has(at))
        .map((item) => ({ ...item, texts: item.texts.filter(({ model }) => chosen.includes(model)) }));
    },
    parents: [],
  };
}

export interface RatingForm {
  readonly name: string;
  readonly question: string;
  readonly models: readonly string[];
  readonly items: number;
  readonly pairs_per_item: number;
  readonly repeats: number;
  readonly allow_tie: boolean;
  readonly allow_both_bad: boolean;
  readonly hide_reward: boolean;
  readonly seed: number;
}

/** What of the form cannot be as it is, by field. */
export type FormProblem = "name" | "question" | "models" | "items" | "pairs_per_item" | "repeats" | "seed";

export function formProblems(form: RatingForm, available: number): FormProblem[] {
  const whole = (value: number, low: number, high: number): boolean =>
    Number.isInteger(value) && value >= low && value <= high;
  const pairs = modelPairs(form.models).length;
  const problems: FormProblem[] = [];
  if (form.name.trim() === "") problems.push("name");
  if (form.question.trim() === "") problems.push("question");
  if (form.models.length < 2 || form.models.length > 8) problems.push("models");
  if (!whole(form.items, 1, available)) problems.push("items");
  if (!whole(form.pairs_per_item, 1, Math.max(1, pairs))) problems.push("pairs_per_item");
  if (!whole(form.repeats, 0, repeatLimit(form))) problems.push("repeats");
  if (!whole(form.seed, 0, 0xffff_ffff)) problems.push("seed");
  return problems;
}

/** The most repeats that fit: `maxRepeats` before there are items. */
export function repeatLimit({ items, pairs_per_item }: Pick<RatingForm, "items" | "pairs_per_item">): number {
  return Math.ceil((Math.max(0, items) * Math.max(0, pairs_per_item)) / 2) || 0;
}

export interface RatingPlan {
  /** Showings of a rater, repeats included. */
  readonly showings: number;
  /** Items that each pair of models is decided on. */
  readonly items_per_pair: number;
}

export function planOf(form: Pick<RatingForm, "models" | "items" | "pairs_per_item" | "repeats">): RatingPlan {
  const pairs = Math.max(1, modelPairs(form.models).length);
  return {
    showings: form.items * form.pairs_per_item + form.repeats,
    items_per_pair: Math.floor((form.items * form.pairs_per_item) / pairs),
  };
}

/** The session to store. `id` must not be derived from anything a rater should not know. */
export function recordFrom(form: RatingForm, source: TextSource, id: string, created: number): RatingRecord {
  const chosen = source.models.filter(({ name }) => form.models.includes(name));
  const names = chosen.map(({ name }) => name);
  return {
    session: {
      id,
      name: form.name.trim(),
      created,
      question: form.question.trim(),
      models: names,
      items: source.items(names, form.items, form.seed),
      allow_tie: form.allow_tie,
      allow_both_bad: form.allow_both_bad,
      pairs_per_item: form.pairs_per_item,
      repeats: form.repeats,
      seed: form.seed,
      hide_reward: form.hide_reward,
      parents: [...source.parents],
    },
    models: chosen,
    rewards: [...source.rewards],
    made: [],
  };
}
