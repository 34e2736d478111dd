import { describe, expect, it } from "vitest";
import { chosenIds, completionOf, packCompletions, putChosen, takeChosen } from "./completions";

const texts = [
  completionOf(Int32Array.of(5, 6), Int32Array.of(7, 8, 0)),
  completionOf(Int32Array.of(9), Int32Array.of(0)),
];

describe("completions", () => {
  it("count where a token was chosen, from the last token of the prompt on", () => {
    const batch = packCompletions(texts);
    expect([...batch.input_ids]).toEqual([5, 6, 7, 8, 0, 9, 0]);
    expect([...batch.targets]).toEqual([-100, 7, 8, 0, -100, 0, -100]);
    expect(texts.map((text) => [...chosenIds(text)])).toEqual([[7, 8, 0], [0]]);
  });

  it("values go from rows to chosen tokens and back", () => {
    const { targets } = packCompletions(texts);
    const chosen = takeChosen(Float32Array.of(1, 2, 3, 4, 5, 6, 7), targets);
    expect([...chosen]).toEqual([2, 3, 4, 6]);
    expect([...putChosen(chosen, targets)]).toEqual([0, 2, 3, 4, 0, 6, 0]);
    expect(() => putChosen([1, 2], targets)).toThrow("2 values for 4 chosen tokens");
  });

  it("need a prompt and something chosen", () => {
    expect(() => packCompletions([{ ids: Int32Array.of(1, 2), prompt_tokens: 0 }])).toThrow(RangeError);
    expect(() => packCompletions([{ ids: Int32Array.of(1, 2), prompt_tokens: 2 }])).toThrow(RangeError);
  });
});
