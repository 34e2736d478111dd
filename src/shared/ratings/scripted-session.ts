/** For unit tests: sessions and votes of raters with known habits. */
import { type RatingSession, ratingSession, type Vote, type VoteChoice } from "../protocol/rating";
import { Random } from "../stats/random";
import { planShowings } from "./plan";

export function scriptedSession(over: Partial<RatingSession> & { readonly count?: number } = {}): RatingSession {
  const { count = 12, ...fields } = over;
  const models = fields.models ?? ["sft-secret", "ppo-secret"];
  return ratingSession.parse({
    id: "6f1d",
    name: "evening",
    created: 1,
    question: "どちらが良いですか?",
    models,
    items: Array.from({ length: count }, (_, item) => ({
      item: item + 1,
      prompt: `書き出し${item}`,
      texts: models.map((model, at) => ({
        model,
        text: `${"文".repeat(3 + ((item * 7 + at * 5) % 11))}${item}-${at}`,
        rewards: { judge: Math.sin(item * 3 + at + 0.5) },
      })),
    })),
    allow_tie: true,
    allow_both_bad: true,
    pairs_per_item: 1,
    repeats: 0,
    seed: 7,
    hide_reward: true,
    parents: [],
    ...fields,
  });
}

/** What a rater says to a showing. */
export type Habit = (left: string, right: string, random: Random) => VoteChoice;

export const alwaysLeft: Habit = () => "left";
/** Prefers a model most of the time, sometimes a tie or a skip. */
export const prefers =
  (model: string): Habit =>
  (left, _right, random) => {
    const draw = random.below(10);
    if (draw === 0) return "tie";
    if (draw === 1) return "skip";
    if (draw === 2) return "both_bad";
    return draw < 8 === (left === model) ? "left" : "right";
  };

/** All showings of each rater, voted on by their habit. */
export function scriptedVotes(session: RatingSession, raters: Readonly<Record<string, Habit>>, seed = 1): Vote[] {
  const random = Random.seeded(seed);
  return Object.entries(raters).flatMap(([rater, habit]) =>
    planShowings(session, rater).map(({ item, left, right }) => ({
      rater,
      item,
      left,
      right,
      choice: habit(left, right, random),
      ms: 1000 + random.below(9000),
    })),
  );
}
