import { describe, expect, it } from "vitest";
import { parseGenerate } from "./generate";

describe("arguments of generate", () => {
  it("has defaults for everything but model and prompt", () => {
    expect(parseGenerate(["bundled:nagi-base", "--prompt", "この商品は"])).toEqual({
      model: "bundled:nagi-base",
      adapter: null,
      prompts: ["この商品は"],
      generation: { max_new_tokens: 40, temperature: 1, top_k: 0, top_p: 1 },
      seed: 0,
    });
  });

  it("takes prompts repeated or in a row, and every setting", () => {
    const args = ["m", "--adapter", "a", "--prompt", "x", "y", "--prompt", "z", "--max-new-tokens", "7"];
    expect(parseGenerate([...args, "--temperature", "0", "--top-k", "5", "--top-p", "0.9", "--seed", "3"])).toEqual({
      model: "m",
      adapter: "a",
      prompts: ["x", "z", "y"],
      generation: { max_new_tokens: 7, temperature: 0, top_k: 5, top_p: 0.9 },
      seed: 3,
    });
  });

  it.each([
    [[], "MODEL_DIR"],
    [["m"], "prompt"],
    [["m", "--prompt", "x", "--max-new-tokens", "0"], "max-new-tokens"],
    [["m", "--prompt", "x", "--temperature=-1"], "temperature"],
    [["m", "--prompt", "x", "--temperature", "warm"], "temperature"],
    [["m", "--prompt", "x", "--top-k", "1.5"], "top-k"],
    [["m", "--prompt", "x", "--top-p", "0"], "top-p"],
    [["m", "--prompt", "x", "--seed=-2"], "seed"],
  ])("refuses %j and names what is wrong", (args, path) => {
    expect(() => parseGenerate(args)).toThrow(
      expect.objectContaining({ code: "config.invalid", details: expect.objectContaining({ path }) }),
    );
  });

  it("refuses options it does not know", () => {
    expect(() => parseGenerate(["m", "--prompt", "x", "--beams", "4"])).toThrow(/--beams/);
  });
});
