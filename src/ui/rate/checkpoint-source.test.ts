import { describe, expect, it } from "vitest";
import { DEFAULT_PPO_STAGE, DEFAULT_RUN } from "../../shared/protocol/defaults";
import type { RunEvent } from "../../shared/protocol/events";
import { ratingRecord } from "../../shared/protocol/rating-files";
import type { RunRecord } from "../../shared/protocol/run";
import { overview } from "../../shared/ratings/figures";
import { type Habit, scriptedVotes } from "../../shared/ratings/scripted-session";
import { applyEvents, emptyDetail } from "../../stores/run-detail";
import { checkpointSource, hasCheckpointTexts } from "./checkpoint-source";
import { klPoints } from "./kl-points";
import { recordFrom } from "./new-rating";

const run: RunRecord = {
  run_id: "r1",
  config: { ...DEFAULT_RUN, stages: [DEFAULT_PPO_STAGE] },
  stage: "ppo",
  pipeline_id: null,
  place: null,
  inputs: { model: "bundled:nagi-base", reward_model: "a".repeat(64) },
  artefact: null,
  state: "finished",
  error: null,
  created: 1,
  seconds: 1,
  step: 9,
  total_steps: 9,
  checkpoint_step: 9,
  adapter: "test",
  version: "0",
  metrics: {},
};

/** A run that evaluates at `steps`, with four texts each time and a KL that grows by a quarter a step. */
function detailOf(steps: readonly number[]) {
  const events = steps.flatMap((step, k): RunEvent[] => [
    {
      run_id: "r1",
      seq: 2 * k,
      time: k,
      type: "eval",
      step,
      metrics: { eval_kl: step / 4, eval_scores: step },
    },
    {
      run_id: "r1",
      seq: 2 * k + 1,
      time: k,
      type: "samples",
      step,
      texts: [0, 1, 2, 3].map((at) => ({
        prompt: `p${at}`,
        text: `${step}.${at}`,
        reward: step,
        tokens: 3,
        finished: true,
      })),
    },
  ]);
  return applyEvents(emptyDetail("r1"), events).detail;
}

const form = {
  name: "checkpoints",
  question: "?",
  models: ["ppo @ 0", "ppo @ 4", "ppo @ 8"],
  items: 4,
  pairs_per_item: 3,
  repeats: 0,
  allow_tie: true,
  allow_both_bad: true,
  hide_reward: true,
  seed: 1,
};

describe("the checkpoints of a run as what people rate", () => {
  it("are its evaluations, with the step in their names, their own KL and rewards", () => {
    const source = checkpointSource(run, detailOf([0, 4, 8]));
    expect(source.models.map(({ name, kl }) => [name, kl])).toEqual([
      ["ppo @ 0", 0],
      ["ppo @ 4", 1],
      ["ppo @ 8", 2],
    ]);
    expect(source.available([])).toBe(4);
    const [first, ...others] = source.items(["ppo @ 0", "ppo @ 8"], 4, 1);
    expect(others.length).toBe(3);
    expect(first).toEqual({
      item: 0,
      prompt: "p0",
      texts: [
        { model: "ppo @ 0", text: "0.0", rewards: { reward: 0 } },
        { model: "ppo @ 8", text: "8.0", rewards: { reward: 8 } },
      ],
    });
    expect(source.parents).toEqual([{ slot: "run", id: "r1" }]);
  });

  it("are at most eight, the first and the last among them", () => {
    const { models } = checkpointSource(run, detailOf(Array.from({ length: 30 }, (_, k) => k)));
    expect(models.length).toBe(8);
    expect(models[0]?.name).toBe("ppo @ 0");
    expect(models[7]?.name).toBe("ppo @ 29");
    expect(new Set(models.map(({ name }) => name)).size).toBe(8);
  });

  it("need two steps with texts", () => {
    expect(hasCheckpointTexts(undefined)).toBe(false);
    expect(hasCheckpointTexts(detailOf([0]))).toBe(false);
    expect(hasCheckpointTexts(detailOf([0, 4]))).toBe(true);
  });

  it("give win rates against KL", () => {
    const record = recordFrom(form, checkpointSource(run, detailOf([0, 4, 8])), "s", 1);
    expect(ratingRecord.safeParse(record).success).toBe(true);
    const later: Habit = (left, right) =>
      Number(left.split(" ").at(-1)) > Number(right.split(" ").at(-1)) ? "left" : "right";
    const { session } = record;
    const votes = scriptedVotes(session, { a: later, b: later });
    const points = klPoints("ppo @ 0", record.models, overview({ session, votes, draws: 100 }).pairs);
    expect(points.map(({ model, kl, win_rate }) => [model, kl, win_rate])).toEqual([
      ["ppo @ 4", 1, 1],
      ["ppo @ 8", 2, 1],
    ]);
  });
});
