import { describe, expect, it } from "vitest";
import { DEFAULT_RUN } from "../../shared/protocol/defaults";
import { checkDraft, configToDraft, DEFAULT_DRAFT, type Draft, estimateSteps, type NumberField, rangeOf } from "./form";

const withNumber = (field: NumberField, text: string): Draft => ({
  ...DEFAULT_DRAFT,
  numbers: { ...DEFAULT_DRAFT.numbers, [field]: text },
});

describe("checkDraft", () => {
  it("turns the default draft into the default run and back", () => {
    const { config, problems } = checkDraft(DEFAULT_DRAFT);
    expect(problems.size).toBe(0);
    expect(config).toEqual(DEFAULT_RUN);
    expect(configToDraft(DEFAULT_RUN)).toEqual(DEFAULT_DRAFT);
  });

  const wrong: [NumberField, string, string][] = [
    ["learning_rate", "0", "out_of_range"],
    ["learning_rate", "2", "out_of_range"],
    ["learning_rate", "", "missing"],
    ["learning_rate", "5e-", "not_a_number"],
    ["learning_rate", "abc", "not_a_number"],
    ["per_device_train_batch_size", "1.5", "not_an_integer"],
    ["per_device_train_batch_size", "0", "out_of_range"],
    ["per_device_train_batch_size", "513", "out_of_range"],
    ["num_train_epochs", "-1", "out_of_range"],
    ["max_length", "4096", "out_of_range"],
    ["warmup_ratio", "1", "out_of_range"],
    ["max_steps", "-2", "out_of_range"],
  ];
  it.each(wrong)("%s = %j is %s, and nothing else is wrong", (field, text, problem) => {
    const checked = checkDraft(withNumber(field, text));
    expect(checked.config).toBeNull();
    expect([...checked.problems]).toEqual([[field, problem]]);
  });

  it("names every wrong field at once", () => {
    const { problems } = checkDraft({ ...withNumber("eval_steps", "0"), name: " ", seed: "-1", train: "" });
    expect(Object.fromEntries(problems)).toEqual({
      eval_steps: "out_of_range",
      name: "missing",
      seed: "out_of_range",
      train: "missing",
    });
  });

  it("takes an empty test split as none", () => {
    expect(checkDraft({ ...DEFAULT_DRAFT, test: "" }).config?.data.test).toBeNull();
  });
});

describe("rangeOf", () => {
  it("reads the bounds from the schema", () => {
    expect(rangeOf("learning_rate")).toEqual({
      integer: false,
      minimum: 0,
      maximum: 1,
      exclusiveMinimum: true,
      exclusiveMaximum: false,
    });
    expect(rangeOf("warmup_ratio")).toEqual({
      integer: false,
      minimum: 0,
      maximum: 1,
      exclusiveMinimum: false,
      exclusiveMaximum: true,
    });
    expect(rangeOf("eval_steps")).toEqual({
      integer: true,
      minimum: 1,
      maximum: null,
      exclusiveMinimum: false,
      exclusiveMaximum: false,
    });
    expect(rangeOf("seed").maximum).toBe(4_294_967_295);
  });
});

describe("estimateSteps", () => {
  it("counts the last, incomplete batch of an epoch", () => {
    expect(estimateSteps(DEFAULT_RUN, 4332)).toBe(813);
    expect(estimateSteps(DEFAULT_RUN, 0)).toBeNull();
  });
});
