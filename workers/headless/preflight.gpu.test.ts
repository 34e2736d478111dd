import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NagiError } from "../../src/shared/errors";
import { DEFAULT_REWARD_STAGE, DEFAULT_RUN, TEMPLATES } from "../../src/shared/protocol/defaults";
import { openDawn } from "../engine/gpu/dawn";
import type { Gpu } from "../engine/gpu/gpu";
import { preflightRun } from "./preflight";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

describe("preflightRun", () => {
  it("says a line for every stage, those that have not run included, and allocates nothing", async () => {
    const lines: string[] = [];
    const before = gpu.snapshot();
    await preflightRun(TEMPLATES["positive-reviews"], tmpdir(), gpu, (line) => lines.push(line));
    expect(lines.map((line) => line.split(":")[0])).toEqual(["sft", "reward", "judge", "merge", "ppo", "evaluate"]);
    for (const line of lines) expect(line).toMatch(/needs \d+ MiB on the GPU \(weights .*largest binding .*result /);
    expect(lines[4]).toMatch(/cache .*reward_model /);
    expect(gpu.snapshot()).toEqual(before);
  });

  it("refuses what does not fit, after saying what would", async () => {
    const small = await openDawn(undefined, { largestBinding: 2 * 2 ** 20 });
    try {
      const lines: string[] = [];
      const stage = { ...DEFAULT_REWARD_STAGE, max_length: 512, per_device_train_batch_size: 64 };
      const wide = { ...DEFAULT_RUN, stages: [stage] };
      const error = await preflightRun(wide, tmpdir(), small, (line) => lines.push(line)).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(NagiError);
      expect(error).toMatchObject({ code: "gpu.limit", details: { granted: 2 * 2 ** 20 } });
      expect(lines.filter((line) => line.includes("would fit with")).length).toBeGreaterThan(0);
    } finally {
      small.destroy();
    }
  });
});
