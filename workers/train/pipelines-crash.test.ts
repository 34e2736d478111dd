import { describe, expect, it } from "vitest";
import type { RunConfig } from "../../src/shared/protocol/config";
import { DEFAULT_EVALUATE_STAGE, DEFAULT_RUN, TEMPLATES } from "../../src/shared/protocol/defaults";
import { scriptedStage, until } from "./scripted";
import { Fuse, ScriptedStudio, statesOf } from "./scripted-studio";
import type { SessionTools } from "./session";

const [SFT, MERGE] = TEMPLATES["dpo-from-votes"].stages;
const CONFIG: RunConfig = { ...DEFAULT_RUN, stages: [SFT, MERGE, { ...DEFAULT_EVALUATE_STAGE, models: ["merge"] }] };
const STEPS = 6;
const train: SessionTools["train"] = (work) => scriptedStage(work, null, STEPS);

/** Runs the pipeline in a tab that dies after so many changes of the disk. @returns whether it lived to the end */
async function dieAfter(studio: ScriptedStudio, operations: number): Promise<boolean> {
  const fuse = new Fuse(operations);
  const tab = await studio.tab(train, (root) => fuse.through(root));
  let rests = false;
  const working = (async () => {
    const { pipeline_id } = await tab.pipelines.create(CONFIG, { reuse: false });
    await tab.pipelines.run(pipeline_id);
    await tab.pipelines.rest(pipeline_id);
    rests = true;
  })();
  // A dead tab's calls never end.
  await Promise.race([working, until(() => fuse.blown)]);
  return rests && !fuse.blown;
}

describe("a tab that dies", () => {
  it("at any change of the disk leaves a pipeline that another tab brings to its end, with nothing lost or twice", async () => {
    let operations = 1;
    for (let lived = false; !lived; operations += 5) {
      const studio = new ScriptedStudio();
      lived = await dieAfter(studio, operations);
      studio.kill();
      const before = studio.trained.length;
      const tab = await studio.tab(train);
      const finished = new Set(
        (await tab.runs.list()).filter(({ state }) => state === "finished").map(({ stage }) => stage),
      );
      const [left] = await tab.pipelines.list();
      // It died before the pipeline was stored.
      if (left === undefined) {
        expect(operations, "stored only after many changes").toBeLessThan(10);
        continue;
      }
      if (left.state !== "finished") {
        await tab.pipelines.run(left.pipeline_id);
        await tab.pipelines.rest(left.pipeline_id);
      }
      const place = `after ${operations} changes of the disk`;
      expect(await statesOf(tab, left.pipeline_id), place).toBe("sft finished, merge finished, evaluate finished");
      // A stage that had ended did not run again, and no result was stored twice.
      expect(
        studio.trained.slice(before).filter((stage) => finished.has(stage)),
        place,
      ).toEqual([]);
      expect((await tab.artefacts.list()).map(({ kind }) => kind).sort(), place).toEqual([
        "adapter",
        "generations",
        "model",
      ]);
      expect((await tab.runs.list()).length, place).toBe(3);
    }
    expect(operations).toBeGreaterThan(100);
  }, 120_000);
});
