import { describe, expect, it } from "vitest";
import type { ArtefactRecord, Generation } from "../../shared/protocol/artefact";
import { runConfig } from "../../shared/protocol/config";
import { DEFAULT_EVALUATE_STAGE, DEFAULT_REWARD_STAGE, DEFAULT_RUN } from "../../shared/protocol/defaults";
import { checkPipeline } from "../../shared/protocol/pipeline-check";
import { ratingRecord } from "../../shared/protocol/rating-files";
import { overview } from "../../shared/ratings/figures";
import { prefers, scriptedSession, scriptedVotes } from "../../shared/ratings/scripted-session";
import { maxRepeats } from "../../shared/ratings/session";
import { klPoints } from "./kl-points";
import {
  evaluationSource,
  fileSource,
  formProblems,
  planOf,
  type RatingForm,
  recordFrom,
  repeatLimit,
} from "./new-rating";
import { pText } from "./p-text";
import { raterTotals } from "./RaterDone";
import { dpoOnVotes, type Origin, rewardOnVotes } from "./retrain";

const id = (letter: string): string => letter.repeat(64);
const record = (letter: string, change: Partial<ArtefactRecord> = {}): ArtefactRecord => ({
  id: id(letter),
  kind: "adapter",
  name: "ppo",
  created: 1,
  files: [{ path: "x", bytes: 1, sha256: id("0") }],
  parents: [],
  run_id: `run-${letter}`,
  stage: null,
  seed: 0,
  ...change,
});
const MODELS = ["merge", `artefact:${id("a")}`, `artefact:${id("b")}`];
const EVALUATION = record("e", {
  kind: "generations",
  name: "evaluate",
  stage: { ...DEFAULT_EVALUATE_STAGE, models: MODELS, reward_models: [`artefact:${id("c")}`] },
  parents: [
    { slot: "models.0", id: id("9") },
    { slot: "models.1", id: id("a") },
    { slot: "models.2", id: id("b") },
    { slot: "reward_models.0", id: id("c") },
  ],
});
const ARTEFACTS = [EVALUATION, record("a"), record("b"), record("c", { kind: "reward_model", name: "judge" })];

const generation = (item: number, model: string): Generation => ({
  item,
  prompt: `p${item}`,
  model,
  text: `${model.slice(-1)}${item}`,
  tokens: 3,
  finished: true,
  rewards: { [`artefact:${id("c")}`]: item },
  kl: model === "merge" ? null : item + MODELS.indexOf(model),
  length: 3,
});
const GENERATIONS = [0, 1, 2].flatMap((item) => MODELS.map((model) => generation(item, model)));

const FORM: RatingForm = {
  name: "夜",
  question: "どちら?",
  models: ["merge", "ppo"],
  items: 2,
  pairs_per_item: 1,
  repeats: 1,
  allow_tie: true,
  allow_both_bad: false,
  hide_reward: true,
  seed: 3,
};

describe("a session of an evaluation", () => {
  const source = evaluationSource(EVALUATION, GENERATIONS, ARTEFACTS);

  it("has models and rewards by their names, each once, with where they come from", () => {
    expect(source.models).toEqual([
      { name: "merge", source: id("9"), kl: null },
      { name: "ppo", source: id("a"), kl: 2 },
      { name: "ppo-2", source: id("b"), kl: 3 },
    ]);
    expect(source.rewards).toEqual([{ name: "judge", source: id("c") }]);
    expect(source.available(["merge", "ppo-2"])).toBe(3);
  });

  it("holds the chosen models only, names its evaluation, and says nothing in its id", () => {
    const made = ratingRecord.parse(recordFrom(FORM, source, "some-id", 5));
    expect(made.session.models).toEqual(["merge", "ppo"]);
    expect(made.session.items).toHaveLength(2);
    expect(made.session.items[0]?.texts.map(({ model, rewards }) => [model, Object.keys(rewards)])).toEqual([
      ["merge", ["judge"]],
      ["ppo", ["judge"]],
    ]);
    expect(made.session.parents).toEqual([{ slot: "texts", id: EVALUATION.id }]);
    expect(made.session.id).toBe("some-id");
  });
});

describe("the form", () => {
  it("says which fields cannot be", () => {
    expect(formProblems(FORM, 2)).toEqual([]);
    expect(formProblems({ ...FORM, name: " ", models: ["merge"], items: 9, seed: -1 }, 8)).toEqual([
      "name",
      "models",
      "items",
      "seed",
    ]);
    expect(formProblems({ ...FORM, items: Number.NaN, repeats: 1.5, pairs_per_item: 2, question: "" }, 8)).toEqual([
      "question",
      "items",
      "pairs_per_item",
      "repeats",
    ]);
  });

  it("knows the most repeats before there are items", () => {
    for (const items of [1, 2, 5, 40])
      for (const pairs_per_item of [1, 3])
        expect(repeatLimit({ items, pairs_per_item })).toBe(
          maxRepeats({ items: scriptedSession({ count: items }).items, pairs_per_item }),
        );
  });

  it("plans what a pair of models gets of the items", () => {
    const models = ["a", "b", "c", "d"];
    expect(planOf({ models, items: 200, pairs_per_item: 6, repeats: 10 })).toEqual({
      showings: 1210,
      items_per_pair: 200,
    });
    expect(planOf({ models, items: 100, pairs_per_item: 1, repeats: 0 })).toEqual({
      showings: 100,
      items_per_pair: 16,
    });
  });

  it("draws imported items by the seed, in the order of the file", () => {
    const { items } = scriptedSession({ count: 30 });
    const source = fileSource({ models: ["sft-secret", "ppo-secret"], rewards: [], items, kl: new Map() });
    const drawn = source.items(["sft-secret", "ppo-secret"], 10, 5).map(({ item }) => Number(item));
    expect(drawn).toHaveLength(10);
    expect([...drawn].sort((a, b) => a - b)).toEqual(drawn);
    expect(source.items(["sft-secret", "ppo-secret"], 10, 5).map(({ item }) => Number(item))).toEqual(drawn);
  });
});

describe("learning from votes", () => {
  const REWARD = record("c", {
    kind: "reward_model",
    parents: [{ slot: "model", id: id("9") }],
    stage: { ...DEFAULT_REWARD_STAGE, learning_rate: 1e-3, rows: { part: 0, of: 2 } },
  });
  const known = [REWARD, EVALUATION, record("9", { kind: "model" }), record("a")];
  const origin: Origin = { artefacts: known, configOf: () => ({ ...DEFAULT_RUN, seed: 11 }) };
  const kindOf = (artefact: string) => known.find((one) => one.id === artefact)?.kind;
  const fits = (config: unknown) => {
    const parsed = runConfig.parse(config);
    expect(checkPipeline(parsed, kindOf)).toEqual([]);
    return parsed;
  };

  it("retrains the reward model from the same weights, on the pairs", () => {
    const { stages, seed } = fits(rewardOnVotes("x", id("f"), REWARD, origin));
    expect(seed).toBe(11);
    expect(stages).toHaveLength(1);
    expect(stages[0]).toMatchObject({
      objective: "pairwise",
      pairs: `artefact:${id("f")}`,
      model: `artefact:${id("9")}`,
      learning_rate: 1e-3,
      rows: null,
    });
  });

  it("trains one from the base where none is known", () => {
    const { stages, model } = fits(rewardOnVotes("x", id("f"), undefined, origin));
    expect(stages[0]).toMatchObject({ model: "base", pairs: `artefact:${id("f")}` });
    expect(model).toEqual(DEFAULT_RUN.model);
  });

  it("runs DPO from a model, from an adapter by merging it, and from a base", () => {
    const reward = [{ name: "judge", source: id("c") }];
    const from = (source: string | null) =>
      fits(dpoOnVotes("x", id("f"), { name: "m", source, kl: null }, reward, EVALUATION, origin));
    const whole = from(id("9"));
    expect(whole.stages.map(({ stage }) => stage)).toEqual(["dpo", "evaluate"]);
    expect(whole.stages[0]).toMatchObject({ model: `artefact:${id("9")}`, pairs: `artefact:${id("f")}` });
    expect(whole.stages[1]).toMatchObject({
      models: [`artefact:${id("9")}`, "dpo"],
      reward_models: [`artefact:${id("c")}`],
    });
    const adapter = from(id("a"));
    expect(adapter.stages.map(({ stage }) => stage)).toEqual(["merge", "dpo", "evaluate"]);
    expect(adapter.stages[1]).toMatchObject({ model: "merge" });
    expect(from("imported:mine").model.model_name_or_path).toBe("imported:mine");
    expect(from(null).stages[0]).toMatchObject({ stage: "dpo", model: "base" });
  });
});

describe("figures beside the verdict", () => {
  it("turns win rates towards the model that moved, in the order of its KL", () => {
    const models = ["m-sft", "a-early", "z-late"];
    const session = scriptedSession({ count: 60, models, pairs_per_item: 3 });
    const votes = scriptedVotes(session, { x: prefers("a-early"), y: prefers("z-late"), z: prefers("a-early") });
    const { pairs } = overview({ session, votes, draws: 50 });
    const points = klPoints(
      "m-sft",
      [
        { name: "m-sft", source: null, kl: 0 },
        { name: "z-late", source: null, kl: 9 },
        { name: "a-early", source: null, kl: 3 },
      ],
      pairs,
    );
    expect(points.map(({ model, kl }) => [model, kl])).toEqual([
      ["a-early", 3],
      ["z-late", 9],
    ]);
    for (const { win_rate, interval } of points)
      expect((interval?.low ?? 1) <= win_rate && win_rate <= (interval?.high ?? 0)).toBe(true);
    const early = pairs.find(({ verdict }) => verdict.models.join() === "a-early,m-sft")?.verdict;
    if (!(Math.abs((points[0]?.win_rate ?? 9) + (early?.win_rate_b ?? 9) - 1) <= 1e-12)) expect.fail("not turned");
  });

  it("never rounds a p-value to nothing", () => {
    expect([null, Number.NaN, 1, 0.05, 0.0018, 0.00002, 0].map(pText)).toEqual([
      "–",
      "–",
      "1",
      "0.05",
      "0.0018",
      "< 0.0001",
      "< 0.0001",
    ]);
  });

  it("totals a rater's votes", () => {
    const vote = (number: number, choice: "left" | "skip", ms: number) => ({ number, choice, ms });
    expect(raterTotals([vote(0, "left", 1000), vote(1, "skip", 2000), vote(2, "left", 4000)])).toEqual({
      votes: 2,
      skipped: 1,
      median_seconds: 2,
    });
    expect(raterTotals([vote(0, "left", 1000), vote(1, "left", 2000)]).median_seconds).toBe(1.5);
    expect(raterTotals([]).median_seconds).toBeNull();
  });
});
