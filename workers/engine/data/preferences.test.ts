import { describe, expect, it } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import { parsePreferences } from "./preferences";

const parse = (...lines: string[]) => parsePreferences(new TextEncoder().encode(lines.join("\n")), "votes.jsonl");
const good = '{"prompt":"この","chosen":"良い","rejected":"悪い","voter":3}';

function refusal(...lines: string[]): NagiError {
  try {
    parse(...lines);
  } catch (error) {
    if (error instanceof NagiError) return error;
  }
  throw new Error("was accepted");
}

describe("parsePreferences", () => {
  it("reads pairs, blank lines and other fields left aside", () => {
    const pair = { prompt: "この", chosen: "良い", rejected: "悪い" };
    expect(parse(good, "", good.replace("この", ""))).toEqual([pair, { ...pair, prompt: "" }]);
  });

  it.each([
    ["data.empty", []],
    ["data.not_json", [good, "{"]],
    ["data.not_json", [good, "[1]"]],
    ["data.missing_column", [good, '{"prompt":"a","chosen":"b"}']],
    ["data.missing_column", [good, '{"prompt":"a","chosen":"b","rejected":3}']],
    ["data.missing_column", [good, '{"prompt":"a","chosen":" ","rejected":"c"}']],
    ["data.missing_column", [good, '{"prompt":"a","chosen":"b","rejected":"b"}']],
  ] as const)("refuses with %s: %j", (code, lines) => {
    const error = refusal(...lines);
    expect(error.code).toBe(code);
    expect(error.details.file).toBe("votes.jsonl");
    if (lines.length > 0) {
      expect(error.details.line).toBe(2);
      expect(error.message).toContain("votes.jsonl, line 2");
    }
  });
});
