import { describe, expect, it } from "vitest";
import { TEMPLATES } from "../../shared/protocol/defaults";
import { checkDraft, type DraftObject, encodeConfig, valueAt, withValue } from "./draft";
import { isNullable, optionsOf, rangeOf, stageNode } from "./schema";

const TUTORIAL = encodeConfig(TEMPLATES["positive-reviews"]);
const ppo = (): string => {
  const index = TEMPLATES["positive-reviews"].stages.findIndex(({ stage }) => stage === "ppo");
  return `stages.${index}`;
};
const problems = (draft: DraftObject) => Object.fromEntries(checkDraft(draft).problems);

describe("checkDraft", () => {
  it.each(Object.entries(TEMPLATES))("turns %s into a draft and back", (_, config) => {
    const checked = checkDraft(encodeConfig(config));
    expect(checked.problems.size).toBe(0);
    expect(checked.pipeline).toEqual([]);
    expect(checked.config).toEqual(config);
  });

  const wrong: [string, string, string][] = [
    ["learning_rate", "abc", "not_a_number"],
    ["learning_rate", "", "missing"],
    ["learning_rate", "2", "out_of_range"],
    ["rollout_batch_size", "1.5", "not_an_integer"],
    ["peft.r", "0", "out_of_range"],
    ["reward_baseline", "avg", "not_a_number"],
    ["target_kl", "-1", "out_of_range"],
    ["prompt.length", "ten", "not_a_number"],
    ["id", "", "not_allowed"],
  ];
  it.each(wrong)("%s = %j is %s, and nothing else is wrong", (field, text, problem) => {
    const path = `${ppo()}.${field}`;
    expect(problems(withValue(TUTORIAL, path, text))).toEqual({ [path]: problem });
  });

  it("reads a word where a number or that word may stand", () => {
    const path = `${ppo()}.reward_baseline`;
    const at = (value: string) =>
      checkDraft(withValue(TUTORIAL, path, value)).config?.stages.find((s) => s.stage === "ppo");
    expect(at("auto")).toMatchObject({ reward_baseline: "auto" });
    expect(at("−0.5")).toMatchObject({ reward_baseline: -0.5 });
  });

  it("says which stages do not fit together, once the fields are right", () => {
    const draft = withValue(TUTORIAL, `${ppo()}.model`, "sft");
    const checked = checkDraft(draft);
    expect(checked.config).toBeNull();
    expect(checked.pipeline.map(({ path, code }) => [path, code])).toEqual([[`${ppo()}.model`, "needs_merge"]]);
    expect(checkDraft(withValue(draft, "seed", "x")).pipeline).toEqual([]);
  });
});

describe("withValue", () => {
  it("changes one place and shares the rest", () => {
    const changed = withValue(TUTORIAL, `${ppo()}.peft.r`, "4");
    expect(valueAt(changed, `${ppo()}.peft.r`)).toBe("4");
    expect(valueAt(TUTORIAL, `${ppo()}.peft.r`)).toBe("16");
    expect(valueAt(changed, "stages.0")).toBe(valueAt(TUTORIAL, "stages.0"));
  });
});

describe("the schema of a stage", () => {
  it("knows ranges, words and what may be left out", () => {
    const field = (name: string) => stageNode("ppo").properties?.[name] ?? {};
    expect(rangeOf(field("cliprange"))).toEqual({
      integer: false,
      minimum: 0,
      maximum: 10,
      exclusiveMinimum: true,
      exclusiveMaximum: false,
    });
    expect(rangeOf(field("total_episodes"))).toMatchObject({ integer: true, minimum: 1, maximum: null });
    expect(optionsOf(field("kl_estimator"))).toEqual(["k1", "k3"]);
    expect(optionsOf(field("reward_baseline"))).toEqual(["auto"]);
    expect(optionsOf(stageNode("sft").properties?.packing ?? {})).toEqual([false, "bfd", "wrapped"]);
    expect(isNullable(field("target_kl"))).toBe(true);
    expect(isNullable(field("kl_coef"))).toBe(false);
  });
});
