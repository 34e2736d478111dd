import { describe, expect, it } from "vitest";
import { DEFAULT_LORA, TEMPLATES } from "../../shared/protocol/defaults";
import { withSettings } from "./apply";

describe("withSettings", () => {
  const config = TEMPLATES["positive-reviews"];

  it("changes the named stage, and of it only what is named", () => {
    const changed = withSettings(config, "reward", { peft: DEFAULT_LORA, max_length: 64 });
    expect(changed.stages.map((stage, index) => stage === config.stages[index])).toEqual([
      true,
      false,
      true,
      true,
      true,
      true,
    ]);
    expect(changed.stages[1]).toEqual({ ...config.stages[1], peft: DEFAULT_LORA, max_length: 64 });
  });

  it("refuses what the schema does not have", () => {
    expect(() => withSettings(config, "reward", { max_length: 0 })).toThrow();
    expect(() => withSettings(config, "reward", { no_such_setting: 1 })).toThrow();
  });
});
