/** A rating of one run's checkpoints: what the policy wrote at each evaluation, from the same prompts and random numbers. */
import type { RatingItem } from "../../shared/protocol/rating";
import { type RunRecord, stageOf } from "../../shared/protocol/run";
import { Random } from "../../shared/stats/random";
import type { RunDetail } from "../../stores/run-detail";
import type { TextSource } from "./new-rating";

/** As many as a session takes. */
const MOST = 8;

/** Whether a run has written texts at two of its steps or more. */
export const hasCheckpointTexts = (detail: RunDetail | undefined): detail is RunDetail =>
  detail !== undefined && detail.texts.length > 1;

/**
 * The texts of up to eight evaluations, spread evenly, the first and the last among them; each is called "STAGE @ STEP".
 * The first is the model before training. KL is that evaluation's own mean over all its texts (`eval_kl`).
 */
export function checkpointSource(run: RunRecord, detail: RunDetail): TextSource {
  const stage = stageOf(run);
  const sets = spread(detail.texts, MOST);
  const name = (step: number): string => `${run.stage} @ ${step}`;
  const reward = stage.stage === "ppo" ? stage.reward_model.slice(0, 180) : null;
  const klAt = (step: number): number | null => {
    const at = detail.eval.column("step").indexOf(step);
    const value = at < 0 ? Number.NaN : (detail.eval.column("eval_kl")[at] ?? Number.NaN);
    return Number.isFinite(value) ? value : null;
  };
  const items = sets.reduce((fewest, { texts }) => Math.min(fewest, texts.length), Number.POSITIVE_INFINITY);
  return {
    models: sets.map(({ step }) => ({ name: name(step), source: null, kl: klAt(step) })),
    rewards: reward === null ? [] : [{ name: reward, source: run.inputs.reward_model ?? null }],
    available: () => items,
    items: (models, count, seed) => {
      const drawn = Random.seeded(seed, 3)
        .shuffle(Array.from({ length: items }, (_, at) => at))
        .slice(0, count)
        .sort((a, b) => a - b);
      return drawn.map((at): RatingItem => {
        const written = sets.flatMap(({ step, texts }) => {
          const text = texts[at];
          if (text === undefined || !models.includes(name(step))) return [];
          return [{ model: name(step), text: text.text, rewards: reward === null ? {} : { [reward]: text.reward } }];
        });
        return { item: at, prompt: sets[0]?.texts[at]?.prompt ?? "", texts: written };
      });
    },
    parents: [{ slot: "run", id: run.run_id }],
  };
}

/** At most `count` of the entries, evenly spread, the first and the last among them. */
function spread<T>(entries: readonly T[], count: number): T[] {
  if (entries.length <= count) return [...entries];
  return Array.from({ length: count }, (_, k) => entries[Math.round((k * (entries.length - 1)) / (count - 1))]).flatMap(
    (entry) => (entry === undefined ? [] : [entry]),
  );
}
