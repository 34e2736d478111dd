/** Pipelines on two machines: which stage goes where, what it is given there, and what a closed tab changes. */
import { beforeEach, describe, expect, it } from "vitest";
import type { RunConfig, StageConfig } from "../../../src/shared/protocol/config";
import { DEFAULT_RUN, defaultStage } from "../../../src/shared/protocol/defaults";
import { DEFAULT_LAUNCH, type StagePlaces } from "../../../src/shared/protocol/launch";
import { codeOf, scriptedStage, until } from "../scripted";
import { Fuse, ScriptedStudio, statesOf, type Tab } from "../scripted-studio";
import { ScriptedWorker } from "./scripted-worker";

const stages: StageConfig[] = [];
for (const kind of ["sft", "merge", "reward", "ppo"] as const) stages.push(defaultStage(kind, stages));
const CONFIG: RunConfig = { ...DEFAULT_RUN, name: "two machines", stages };
const there = { at: "worker" as const, worker: "w", launch: DEFAULT_LAUNCH };
const PLACES: StagePlaces = { sft: there, merge: there, ppo: there };
const FINISHED = stages.map(({ id }) => `${id} finished`).join(", ");

let studio: ScriptedStudio;
let worker: ScriptedWorker;
const tab = () => studio.tab((work) => scriptedStage(work), undefined, worker);

async function begin(one: Tab, places = PLACES, reuse = false): Promise<string> {
  const { pipeline_id } = await one.pipelines.create(CONFIG, { reuse, places });
  await one.pipelines.run(pipeline_id);
  return pipeline_id;
}

const finished = (one: Tab, id: string) => until(async () => (await statesOf(one, id)) === FINISHED);

beforeEach(() => {
  studio = new ScriptedStudio();
  worker = new ScriptedWorker();
  worker.made = new Uint8Array(100);
});

describe("a pipeline on two machines", () => {
  it("runs each stage at its place, with what the others made", async () => {
    const one = await tab();
    const id = await begin(one);
    await one.pipelines.rest(id);
    expect(await statesOf(one, id)).toBe(FINISHED);
    expect(studio.trained).toEqual(["reward"]);
    expect(worker.starts.map(({ stage }) => stage)).toEqual(["sft", "merge", "ppo"]);
    const [sft, merge, ppo] = worker.starts;
    const made = Object.fromEntries((await one.pipelines.record(id)).stages.map((stage) => [stage.id, stage.artefact]));
    expect(merge?.inputs).toEqual({ adapter: made.sft, "adapter.base": sft?.inputs.model });
    expect(ppo?.inputs).toEqual({ model: made.merge, reward_model: made.reward });
    // What was made in the browser is there now, file by file.
    const reward = await one.artefacts.record(made.reward ?? "");
    expect(worker.artefacts.get(reward.id)).toEqual(reward);
    expect(reward.files.every(({ sha256, bytes }) => worker.blobs.get(sha256)?.bytes.length === bytes)).toBe(true);
    const record = await one.artefacts.record(made.ppo ?? "");
    expect(record.parents.slice(0, 2)).toEqual([
      { slot: "model", id: made.merge },
      { slot: "reward_model", id: made.reward },
    ]);
    expect(await one.artefacts.places()).toEqual({});
  });

  it("goes on by itself when a tab is opened again", async () => {
    const fuse = new Fuse(Number.POSITIVE_INFINITY);
    const one = await studio.tab(
      (work) => scriptedStage(work),
      (root) => fuse.through(root),
      worker,
    );
    worker.gate = 20;
    const id = await begin(one);
    await until(async () => worker.runs.size === 1 && (await statesOf(one, id)).startsWith("sft running"));
    fuse.blow();
    studio.kill();
    worker.gate = Number.POSITIVE_INFINITY;
    await until(() => [...worker.runs.values()][0]?.record.state === "finished");
    const two = await tab();
    expect((await two.pipelines.list())[0]?.state).toBe("running");
    await finished(two, id);
    await two.pipelines.rest(id);
    expect(worker.starts.map(({ stage }) => stage)).toEqual(["sft", "merge", "ppo"]);
  });

  it("pauses on the worker and goes on there", async () => {
    const one = await tab();
    worker.gate = 20;
    const id = await begin(one);
    await until(async () => (await one.pipelines.record(id)).stages[0]?.step === 20);
    await one.pipelines.pause(id);
    expect((await one.pipelines.record(id)).state).toBe("paused");
    expect([...worker.runs.values()].map(({ record }) => record.state)).toEqual(["paused"]);
    worker.gate = Number.POSITIVE_INFINITY;
    await one.pipelines.run(id);
    await one.pipelines.rest(id);
    expect(await statesOf(one, id)).toBe(FINISHED);
  });

  it("takes earlier results over only from the same place", async () => {
    const one = await tab();
    await one.pipelines.rest(await begin(one));
    const same = await one.pipelines.create(CONFIG, { reuse: true, places: PLACES });
    expect(same.stages.every(({ reused }) => reused)).toBe(true);
    const half = { ...there, launch: { ...DEFAULT_LAUNCH, precision: "bfloat16" as const } };
    const other = await one.pipelines.create(CONFIG, { reuse: true, places: { ...PLACES, sft: half } });
    expect(other.stages.map(({ reused }) => reused)).toEqual([false, false, true, false]);
    const tracked = {
      ...there,
      launch: { ...DEFAULT_LAUNCH, tracking: { trackers: ["tensorboard" as const], wandb: null } },
    };
    const logged = await one.pipelines.create(CONFIG, { reuse: true, places: { ...PLACES, sft: tracked } });
    expect(logged.stages.every(({ reused }) => reused)).toBe(true);
  });

  it("may be placed anew while nothing runs", async () => {
    const one = await tab();
    const { pipeline_id } = await one.pipelines.create(CONFIG, { reuse: false, places: PLACES });
    await one.pipelines.place(pipeline_id, {});
    await one.pipelines.run(pipeline_id);
    expect(await codeOf(one.pipelines.place(pipeline_id, PLACES))).toBe("run.bad_command");
    await one.pipelines.rest(pipeline_id);
    expect(worker.starts).toEqual([]);
    expect(studio.trained).toEqual(stages.map(({ id }) => id));
  });
});
