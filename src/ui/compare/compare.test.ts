import { describe, expect, it } from "vitest";
import { DEFAULT_REWARD_STAGE, DEFAULT_RUN, DEFAULT_SFT_STAGE } from "../../shared/protocol/defaults";
import type { RunRecord } from "../../shared/protocol/run";
import { MetricSeries } from "../../stores/series";
import { configDiff } from "./diff";
import { elapsedSeconds } from "./elapsed";

const RUN: RunRecord = {
  run_id: "a",
  config: DEFAULT_RUN,
  stage: "reward",
  pipeline_id: null,
  place: null,
  inputs: {},
  artefact: null,
  state: "finished",
  error: null,
  created: 0,
  seconds: 1,
  step: 1,
  total_steps: 1,
  checkpoint_step: null,
  adapter: "gpu",
  version: "1",
  metrics: {},
};
const differing = (runs: readonly RunRecord[]) =>
  Object.fromEntries(configDiff(runs).flatMap(({ setting, values, differs }) => (differs ? [[setting, values]] : [])));

describe("configDiff", () => {
  it("names only what differs, inside groups too", () => {
    const other: RunRecord = {
      ...RUN,
      config: {
        ...DEFAULT_RUN,
        name: "another name",
        seed: 7,
        stages: [{ ...DEFAULT_REWARD_STAGE, learning_rate: 1e-3, rows: { part: 1, of: 2 } }],
      },
    };
    expect(differing([RUN, RUN])).toEqual({});
    expect(differing([RUN, other])).toEqual({
      seed: ["0", "7"],
      "stage.learning_rate": ["0.0005", "0.001"],
      "stage.rows": ["null", null],
      "stage.rows.part": [null, "1"],
      "stage.rows.of": [null, "2"],
    });
  });

  it("compares the runs' own stages, whatever else their pipelines hold", () => {
    const pipeline: RunRecord = {
      ...RUN,
      config: { ...DEFAULT_RUN, stages: [DEFAULT_SFT_STAGE, DEFAULT_REWARD_STAGE] },
    };
    expect(differing([RUN, pipeline])).toEqual({});
    expect(differing([RUN, { ...pipeline, stage: "sft" }])["stage.stage"]).toEqual(["reward", "sft"]);
  });
});

describe("elapsedSeconds", () => {
  it("counts work and leaves out the rest before a run was taken up again", () => {
    const series = new MetricSeries();
    for (const [step, time] of [
      [1, 1000],
      [2, 3000],
      [3, 903_000],
      [4, 905_500],
    ] as const)
      series.set(step, time, {});
    expect([...elapsedSeconds(series, [])]).toEqual([0, 2, 902, 904.5]);
    expect([...elapsedSeconds(series, [2])]).toEqual([0, 2, 2, 4.5]);
    expect([...elapsedSeconds(new MetricSeries(), [])]).toEqual([]);
  });
});
