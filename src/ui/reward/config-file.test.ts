import { describe, expect, it } from "vitest";
import { NagiError } from "../../shared/errors";
import { DEFAULT_RUN } from "../../shared/protocol/defaults";
import { parseConfig } from "./config-file";

function problem(text: string): NagiError {
  try {
    parseConfig(text, "a.json");
  } catch (error) {
    if (error instanceof NagiError) return error;
  }
  throw new Error("expected a NagiError");
}

describe("parseConfig", () => {
  it("reads what the screen exports", () => {
    expect(parseConfig(JSON.stringify(DEFAULT_RUN), "a.json")).toEqual(DEFAULT_RUN);
  });
  it("names the file that is no JSON", () => {
    expect(problem("{").code).toBe("config.invalid");
    expect(problem("{").details.path).toBe("a.json");
  });
  it("names the field that is wrong", () => {
    const text = JSON.stringify({ ...DEFAULT_RUN, stages: [{ ...DEFAULT_RUN.stages[0], learning_rate: -1 }] });
    expect(problem(text).details.path).toBe("stages.0.learning_rate");
  });
});
