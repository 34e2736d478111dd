import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { NagiError } from "../errors";
import { formatRunConfig, parseRunConfig } from "./config-file";
import { DEFAULT_REWARD_STAGE, DEFAULT_RUN, TEMPLATES } from "./defaults";

function refusal(text: string, overrides: string[] = []): NagiError {
  try {
    parseRunConfig(text, "my.json", overrides);
  } catch (error) {
    if (error instanceof NagiError) return error;
    throw error;
  }
  throw new Error("was accepted");
}

describe("parseRunConfig", () => {
  it("fills an empty object with the defaults", () => {
    expect(parseRunConfig("{}", "my.json")).toEqual(DEFAULT_RUN);
  });

  it("reads the example, which leaves nothing to the defaults", () => {
    const text = readFileSync(fileURLToPath(new URL("../../../examples/reward.json", import.meta.url)), "utf8");
    expect(parseRunConfig(text, "reward.json")).toEqual(JSON.parse(text));
  });

  it.each(Object.entries(TEMPLATES))("reads what it writes of the template %s", (name, template) => {
    expect(parseRunConfig(formatRunConfig(template), `${name}.json`)).toEqual(template);
  });

  it("fills the missing fields of a stage", () => {
    const config = parseRunConfig('{"stages":[{"learning_rate":0.001}]}', "my.json");
    expect(config.stages).toEqual([{ ...DEFAULT_REWARD_STAGE, learning_rate: 0.001 }]);
  });

  it("gives stages the ids and slots they leave out", () => {
    const stages = [{ stage: "sft" }, {}, { id: "judge" }, { stage: "merge" }, { stage: "ppo" }, { stage: "evaluate" }];
    const config = parseRunConfig(JSON.stringify({ stages }), "my.json");
    expect(config.stages.map(({ id }) => id)).toEqual(["sft", "reward", "judge", "merge", "ppo", "evaluate"]);
    expect(config.stages[4]).toMatchObject({ model: "merge", reward_model: "reward" });
    expect(config.stages[5]).toMatchObject({ models: ["merge", "ppo"], reward_models: ["reward", "judge"] });
  });

  it("refuses stages that do not fit together, naming the field", () => {
    const error = refusal('{"stages":[{"stage":"sft"},{"stage":"dpo","model":"sft"},{"stage":"merge","adapter":"x"}]}');
    expect(error.code).toBe("config.invalid");
    expect(error.details).toMatchObject({ path: "stages.1.model" });
    expect(error.message).toMatch(/stages\.1\.model: .*merge it first[\s\S]*stages\.2\.adapter: .*no stage "x"/);
  });

  it("does not test on the bundled rows whoever trains on rows of their own", () => {
    expect(parseRunConfig('{"data":{"train":"a.csv"}}', "my.json").data.test).toBeNull();
    expect(parseRunConfig("{}", "my.json", ["data.train=a.csv"]).data).toEqual({
      train: "a.csv",
      validation: DEFAULT_RUN.data.validation,
      test: null,
    });
    expect(parseRunConfig('{"data":{"train":"a.csv","test":"b.csv"}}', "my.json").data.test).toBe("b.csv");
  });

  it("overrides by path, with dots or brackets, JSON or text, last one wins", () => {
    const config = parseRunConfig('{"seed":1}', "my.json", [
      "seed=7",
      "data.train=/tmp/my rows=1.jsonl",
      "data.test=null",
      "stages.0.learning_rate=1e-4",
      "stages[0].objective=pairwise",
      'stages[0].lr_scheduler_type="linear"',
      "name=42",
      "seed=8",
    ]);
    expect(config.seed).toBe(8);
    expect(config.name).toBe("42");
    expect(config.data.train).toBe("/tmp/my rows=1.jsonl");
    expect(config.data.test).toBeNull();
    expect(config.stages[0]).toMatchObject({
      learning_rate: 1e-4,
      objective: "pairwise",
      lr_scheduler_type: "linear",
      adam_beta1: DEFAULT_REWARD_STAGE.adam_beta1,
    });
  });

  it.each(["learning_rate=1", "stages.0.learningrate=1", "stages.16.learning_rate=1", "stages.learning_rate=1"])(
    "names near fields for --set %s",
    (override) => {
      const error = refusal("{}", [override]);
      expect(error.code).toBe("config.unknown_path");
      expect(error.details.near).toContain("stages.0.learning_rate");
      expect(error.message).toContain("stages.0.learning_rate");
    },
  );

  it.each(["__proto__.x=1", "data.constructor=1", "toString=1", "seed.x=1"])("refuses --set %s", (override) => {
    expect(refusal("{}", [override]).code).toBe("config.unknown_path");
  });

  it("wants PATH=VALUE", () => {
    expect(refusal("{}", ["seed"]).message).toContain("PATH=VALUE");
  });

  it("names an unknown field and the one that was meant", () => {
    const error = refusal('{"stages":[{"stage":"reward","learning_rat":0.1}]}');
    expect(error.code).toBe("config.invalid");
    expect(error.details.path).toBe("stages.0.learning_rat");
    expect(error.message).toContain("did you mean learning_rate");
  });

  it("names every wrong field with what it may hold", () => {
    const error = refusal('{"seed":-1,"model":{"init":"warm"},"stages":[{"learning_rate":"fast","warmup_ratio":1}]}');
    expect(error.code).toBe("config.invalid");
    expect(error.message).toContain("seed: cannot be -1 (allowed: a whole number at least 0 and at most 4294967295)");
    expect(error.message).toContain('model.init: cannot be "warm" (allowed: "pretrained" | "random")');
    expect(error.message).toContain(
      'stages.0.learning_rate: cannot be "fast" (allowed: a number above 0 and at most 1)',
    );
    expect(error.message).toContain("stages.0.warmup_ratio: cannot be 1 (allowed: a number at least 0 and below 1)");
    expect(error.message).toContain("--set");
  });

  it.each(["", "{", "[]", "null", '"x"', "3"])("refuses the file %j", (text) => {
    const error = refusal(text);
    expect(error.code).toBe("config.invalid");
    expect(error.message).toContain("my.json");
  });

  it.each([
    '{"stages":3}',
    '{"stages":[]}',
    '{"stages":[{"stage":"none"}]}',
    '{"stages":[{"id":"A"}]}',
    '{"data":[]}',
    '{"model":null}',
    '{"stages":[1]}',
  ])("refuses %s", (text) => {
    expect(refusal(text).code).toBe("config.invalid");
  });
});
