import { describe, expect, it } from "vitest";
import { TEMPLATES } from "../../shared/protocol/defaults";
import { changesQuery, withChanges } from "./changes";
import { checkDraft, encodeConfig } from "./draft";

const CONFIG = TEMPLATES["positive-reviews"];
const ppo = (config: ReturnType<typeof checkDraft>["config"]) => config?.stages.find(({ stage }) => stage === "ppo");

describe("changes in the address", () => {
  it("arrive as settings of the stage", () => {
    const query = changesQuery({
      from: "run 1",
      stage: "ppo",
      changes: { reward_baseline: 1.5, reward_scaling: true },
    });
    const { draft, changed } = withChanges(encodeConfig(CONFIG), new URLSearchParams(query));
    expect(changed.map((path) => path.split(".").at(-1))).toEqual(["reward_baseline", "reward_scaling"]);
    expect(ppo(checkDraft(draft).config)).toMatchObject({ reward_baseline: 1.5, reward_scaling: true });
    expect(new URLSearchParams(query).get("from")).toBe("run 1");
  });

  it("leave alone what is there already, what is not, and other stages", () => {
    const query = new URLSearchParams("stage=ppo&set=reward_baseline:auto&set=nonsense:1&set=peft:1");
    const { draft, changed } = withChanges(encodeConfig(CONFIG), query);
    expect(changed).toEqual([]);
    expect(checkDraft(draft).config).toEqual(CONFIG);
    expect(withChanges(encodeConfig(CONFIG), new URLSearchParams("stage=nobody&set=seed:1")).changed).toEqual([]);
  });
});
