import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NagiError } from "../../src/shared/errors";
import type { RunConfig, StageConfig } from "../../src/shared/protocol/config";
import { TEMPLATES } from "../../src/shared/protocol/defaults";
import { lineageOf, readGenerations, removeArtefact, removeUnused } from "./lineage";
import { importPreferences } from "./preferences";
import { codeOf, Gate, scriptedStage, until } from "./scripted";
import { Fuse, reached, runThrough, ScriptedStudio, statesOf, type Tab } from "./scripted-studio";
import type { SessionTools } from "./session";

const CONFIG: RunConfig = TEMPLATES["positive-reviews"];
const ORDER = ["sft", "reward", "judge", "merge", "ppo", "evaluate"];
const ALL_FINISHED = ORDER.map((id) => `${id} finished`).join(", ");

let studio: ScriptedStudio;
let gates: Map<string, Gate>;

beforeEach(() => {
  studio = new ScriptedStudio();
  gates = new Map();
});

// Stages of tabs that the test has killed would wait for ever.
afterEach(() => {
  for (const gate of gates.values()) gate.open();
});

const train: SessionTools["train"] = (work) => scriptedStage(work, gates.get(work.stage.id) ?? null);

function hold(stage: string, step = 7): Gate {
  const gate = new Gate(step);
  gates.set(stage, gate);
  return gate;
}

/** The tutorial with another setting in one stage. */
function changed(stageId: string, change: (stage: StageConfig) => StageConfig): RunConfig {
  return { ...CONFIG, stages: CONFIG.stages.map((stage) => (stage.id === stageId ? change(stage) : stage)) };
}

const longerPpo = changed("ppo", (stage) => (stage.stage === "ppo" ? { ...stage, total_episodes: 64 } : stage));

const artefactOf = async (tab: Tab, pipelineId: string, stage: string): Promise<string> => {
  const { stages } = await tab.pipelines.record(pipelineId);
  return stages.find(({ id }) => id === stage)?.artefact ?? "none";
};

describe("a pipeline", () => {
  it("runs its stages one after the other, each on what the earlier ones made", async () => {
    const tab = await studio.tab(train);
    const { pipeline_id, state } = await tab.pipelines.create(CONFIG, { reuse: false });
    expect(state).toBe("ready");
    await tab.pipelines.run(pipeline_id);
    await tab.pipelines.rest(pipeline_id);
    expect(studio.trained).toEqual(ORDER);
    expect(await statesOf(tab, pipeline_id)).toBe(ALL_FINISHED);
    const { state: ended, stages, error } = await tab.pipelines.record(pipeline_id);
    expect([ended, error]).toEqual(["finished", null]);
    const made = new Map(stages.map(({ id, artefact }) => [id, artefact]));
    const runs = new Map((await tab.runs.list()).map((run) => [run.stage, run]));
    expect(runs.get("ppo")).toMatchObject({
      pipeline_id,
      artefact: made.get("ppo"),
      inputs: { model: made.get("merge"), reward_model: made.get("reward") },
    });
    expect(runs.get("evaluate")?.inputs).toEqual({
      "models.0": made.get("merge"),
      "models.1": made.get("ppo"),
      "reward_models.0": made.get("reward"),
      "reward_models.1": made.get("judge"),
    });
    expect((await tab.artefacts.list()).map(({ kind }) => kind).sort()).toEqual(
      ["adapter", "adapter", "generations", "model", "reward_model", "reward_model"].sort(),
    );
    expect(tab.seen).toContain("pipelines");
  });

  it("lets one walk back from an evaluation to model, configuration, data and seed", async () => {
    const tab = await studio.tab(train);
    const pipelineId = await runThrough(tab, { ...CONFIG, seed: 11 });
    const nodes = await lineageOf(await artefactOf(tab, pipelineId, "evaluate"), tab);
    const records = nodes.flatMap(({ record }) => (record === null ? [] : [record]));
    expect(records.map(({ stage }) => stage?.id).sort()).toEqual([...ORDER].sort());
    expect(new Set(records.map(({ seed }) => seed))).toEqual(new Set([11]));
    expect(nodes.filter(({ record }) => record === null).map(({ id }) => id)).toEqual(
      expect.arrayContaining(["bundled:nagi-base", "bundled:reviews-ja/train", "bundled:reviews-ja/test"]),
    );
    expect(nodes[0]?.config).toEqual({ ...CONFIG, seed: 11 });
    expect(await codeOf(lineageOf("0".repeat(64), tab))).toBe("artefact.not_found");
  });

  it("is refused where its stages do not fit together", async () => {
    const tab = await studio.tab(train);
    const wrong = changed("ppo", (stage) => (stage.stage === "ppo" ? { ...stage, reward_model: "sft" } : stage));
    expect(await codeOf(tab.pipelines.create(wrong, { reuse: false }))).toBe("config.invalid");
    expect(await tab.pipelines.list()).toEqual([]);
  });

  it("pauses in the middle of PPO and goes on from its checkpoint, then with the rest", async () => {
    const tab = await studio.tab(train);
    hold("ppo");
    const { pipeline_id } = await tab.pipelines.create(CONFIG, { reuse: false });
    await tab.pipelines.run(pipeline_id);
    await reached(tab, pipeline_id, "ppo", 7);
    expect(await codeOf(tab.pipelines.run(pipeline_id))).toBe("run.bad_command");
    expect(await codeOf(tab.pipelines.delete(pipeline_id, null))).toBe("run.bad_command");
    await tab.pipelines.pause(pipeline_id);
    expect((await tab.pipelines.record(pipeline_id)).state).toBe("paused");
    gates.clear();
    await tab.pipelines.run(pipeline_id);
    await tab.pipelines.rest(pipeline_id);
    expect(studio.trained).toEqual([...ORDER.slice(0, 5), "ppo again", "evaluate"]);
    expect(await statesOf(tab, pipeline_id)).toBe(ALL_FINISHED);
  });

  it("ends a stage for good when it is stopped, and begins it anew when it is run again", async () => {
    const tab = await studio.tab(train);
    hold("reward");
    const { pipeline_id } = await tab.pipelines.create(CONFIG, { reuse: false });
    expect(await codeOf(tab.pipelines.stop(pipeline_id))).toBe("run.bad_command");
    await tab.pipelines.run(pipeline_id);
    await reached(tab, pipeline_id, "reward", 7);
    await tab.pipelines.pause(pipeline_id);
    await tab.pipelines.stop(pipeline_id);
    expect((await tab.pipelines.record(pipeline_id)).state).toBe("stopped");
    gates.clear();
    await tab.pipelines.run(pipeline_id);
    await tab.pipelines.rest(pipeline_id);
    expect(studio.trained).toEqual(["sft", "reward", ...ORDER.slice(1)]);
    expect(await statesOf(tab, pipeline_id)).toBe(ALL_FINISHED);
  });

  it("stops at a stage that fails, says why, and goes on once the reason is gone", async () => {
    let broken = true;
    const tab = await studio.tab(async (work) => {
      if (broken && work.stage.id === "merge") throw new NagiError("gpu.lost", "gone", { reason: "r", message: "m" });
      return train(work);
    });
    const pipelineId = await runThrough(tab, CONFIG);
    const failed = await tab.pipelines.record(pipelineId);
    expect(failed).toMatchObject({ state: "failed", error: { code: "gpu.lost" } });
    expect(failed.stages.map(({ state }) => state).slice(3)).toEqual(["failed", "waiting", "waiting"]);
    broken = false;
    await tab.pipelines.run(pipelineId);
    await tab.pipelines.rest(pipelineId);
    expect(await statesOf(tab, pipelineId)).toBe(ALL_FINISHED);
    expect(studio.trained.filter((stage) => stage === "sft")).toEqual(["sft"]);
  });

  it("keeps what there is when the disk is full, and stores the result once there is room", async () => {
    const tab = await studio.tab(async (work) => {
      if (work.stage.id === "ppo" && !work.resume)
        return scriptedStage({
          ...work,
          saveArtefact: (kind, files) => {
            studio.root.disk.free = 0;
            return work.saveArtefact(kind, files);
          },
        });
      return train(work);
    });
    const pipelineId = await runThrough(tab, CONFIG);
    studio.root.disk.free = null;
    expect(await tab.pipelines.record(pipelineId)).toMatchObject({ state: "failed", error: { code: "storage.quota" } });
    expect((await tab.artefacts.list()).length).toBe(4);
    expect((await tab.artefacts.sizes()).length).toBe(4);
    await tab.pipelines.run(pipelineId);
    await tab.pipelines.rest(pipelineId);
    expect(await statesOf(tab, pipelineId)).toBe(ALL_FINISHED);
  });
});

describe("running again", () => {
  it("with changes takes over the stages whose settings and inputs are equal", async () => {
    const tab = await studio.tab(train);
    const first = await runThrough(tab, CONFIG);
    studio.trained.length = 0;
    const second = await runThrough(tab, longerPpo, true);
    expect(studio.trained).toEqual(["ppo", "evaluate"]);
    const { stages } = await tab.pipelines.record(second);
    expect(stages.map(({ reused }) => reused)).toEqual([true, true, true, true, false, false]);
    expect(await artefactOf(tab, second, "merge")).toBe(await artefactOf(tab, first, "merge"));
    // Another seed is another result everywhere; without being asked to nothing is taken over.
    const other = await tab.pipelines.create({ ...CONFIG, seed: 1 }, { reuse: true });
    expect(other.stages.every(({ state }) => state === "waiting")).toBe(true);
    const fresh = await tab.pipelines.create(CONFIG, { reuse: false });
    expect(fresh.stages.every(({ state }) => state === "waiting")).toBe(true);
    const same = await tab.pipelines.create({ ...CONFIG, name: "another name" }, { reuse: true });
    expect(same.state).toBe("finished");
  });

  it("from a stage runs that one and what builds on it", async () => {
    const tab = await studio.tab(train);
    const pipelineId = await runThrough(tab, CONFIG);
    const before = await artefactOf(tab, pipelineId, "ppo");
    studio.trained.length = 0;
    await tab.pipelines.runFrom(pipelineId, "reward");
    await tab.pipelines.rest(pipelineId);
    expect(studio.trained).toEqual(["reward", "ppo", "evaluate"]);
    expect(await statesOf(tab, pipelineId)).toBe(ALL_FINISHED);
    expect(await artefactOf(tab, pipelineId, "ppo")).not.toBe(before);
    expect(await tab.artefacts.find(before)).not.toBeNull();
    expect(await codeOf(tab.pipelines.runFrom(pipelineId, "none"))).toBe("config.invalid");
  });

  it("also runs a finished stage whose result was deleted and is needed", async () => {
    const tab = await studio.tab(train);
    const pipelineId = await runThrough(tab, CONFIG);
    for (const stage of ["evaluate", "ppo"]) await removeArtefact(await artefactOf(tab, pipelineId, stage), tab);
    expect((await tab.pipelines.record(pipelineId)).state).toBe("finished");
    studio.trained.length = 0;
    await tab.pipelines.runFrom(pipelineId, "evaluate");
    await tab.pipelines.rest(pipelineId);
    expect(studio.trained).toEqual(["ppo", "evaluate"]);
    expect(await statesOf(tab, pipelineId)).toBe(ALL_FINISHED);
  });
});

describe("deleting", () => {
  it("an artefact is refused while something builds on it, and frees its space", async () => {
    const tab = await studio.tab(train);
    const pipelineId = await runThrough(tab, CONFIG);
    const merged = await artefactOf(tab, pipelineId, "merge");
    const error = await removeArtefact(merged, tab).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "artefact.in_use", details: { users: expect.stringContaining("ppo") } });
    const evaluated = await artefactOf(tab, pipelineId, "evaluate");
    studio.root.disk.free = 0;
    await removeArtefact(evaluated, tab);
    expect(studio.root.disk.free).toBeGreaterThan(0);
    studio.root.disk.free = null;
    expect(await tab.artefacts.find(evaluated)).toBeNull();
    expect((await tab.pipelines.record(pipelineId)).stages.at(-1)).toMatchObject({ state: "finished", artefact: null });
    expect(await codeOf(removeArtefact(evaluated, tab))).toBe("artefact.not_found");
    expect(await codeOf(readGenerations(merged, tab.artefacts))).toBe("artefact.wrong_kind");
  });

  it("an artefact is refused while a pipeline still needs it", async () => {
    const tab = await studio.tab(train);
    hold("merge");
    const { pipeline_id } = await tab.pipelines.create(CONFIG, { reuse: false });
    await tab.pipelines.run(pipeline_id);
    await reached(tab, pipeline_id, "merge", 7);
    await tab.pipelines.pause(pipeline_id);
    for (const stage of ["sft", "reward", "judge"])
      expect(await codeOf(removeArtefact(await artefactOf(tab, pipeline_id, stage), tab))).toBe("artefact.in_use");
  });

  it("a pipeline takes its runs along, and its artefacts where wanted, but nothing that another one shows", async () => {
    const tab = await studio.tab(train);
    const first = await runThrough(tab, CONFIG);
    const second = await runThrough(tab, longerPpo, true);
    await tab.pipelines.delete(first, (id) => removeUnused(id, tab));
    expect(await statesOf(tab, second)).toBe(ALL_FINISHED);
    expect((await tab.artefacts.list()).length).toBe(6);
    expect((await tab.runs.list()).length).toBe(6);
    await tab.pipelines.delete(second, null);
    expect((await tab.artefacts.list()).length).toBe(6);
    expect(await tab.pipelines.list()).toEqual([]);
    expect(await codeOf(tab.pipelines.run(second))).toBe("run.not_found");
  });
});

describe("pairs that people made", () => {
  const file = (text: string) => new File([text], "votes.jsonl");
  const pair = '{"prompt": "この店は", "chosen": "良い", "rejected": "悪い"}';

  it("are an artefact that DPO learns from, and that is kept while it does", async () => {
    let learnt = "";
    const tab = await studio.tab((work) => {
      if (work.pairs !== null) learnt = new TextDecoder().decode(work.pairs.bytes);
      return train(work);
    });
    const parents = [{ slot: "texts", id: "0".repeat(64) }];
    const { id, kind } = await importPreferences({ name: "", file: file(`${pair}\n`), parents }, tab.artefacts);
    expect(kind).toBe("preferences");
    const template = TEMPLATES["dpo-from-votes"];
    const stages = template.stages.map((stage) =>
      stage.stage === "dpo" ? { ...stage, pairs: `artefact:${id}` } : stage,
    );
    const { pipeline_id } = await tab.pipelines.create({ ...template, stages }, { reuse: false });
    expect(await codeOf(removeArtefact(id, tab))).toBe("artefact.in_use");
    await tab.pipelines.run(pipeline_id);
    await tab.pipelines.rest(pipeline_id);
    expect(JSON.parse(learnt)).toEqual(JSON.parse(pair));
    const nodes = await lineageOf(await artefactOf(tab, pipeline_id, "evaluate"), tab);
    expect(nodes.map((node) => node.id)).toEqual(expect.arrayContaining([id, "0".repeat(64)]));
    const wrong = stages.map((stage) =>
      stage.stage === "dpo" ? { ...stage, pairs: `artefact:${nodes[0]?.id}` } : stage,
    );
    const other = await runThrough(tab, { ...template, stages: wrong }, true);
    expect(await tab.pipelines.record(other)).toMatchObject({
      state: "failed",
      error: { code: "artefact.wrong_kind" },
    });
  });

  it("are refused where a line is not a pair", async () => {
    const tab = await studio.tab(train);
    for (const text of ["", "none", '{"prompt": "a", "chosen": "b"}'])
      expect(await codeOf(importPreferences({ name: "", file: file(text), parents: [] }, tab.artefacts))).toMatch(
        /^data/,
      );
    expect(await tab.artefacts.list()).toEqual([]);
  });
});

describe("tabs", () => {
  it("show the same pipeline, shut each other out, and learn when the other one lets go", async () => {
    hold("ppo");
    const one = await studio.tab(train);
    const two = await studio.tab(train);
    const { pipeline_id } = await one.pipelines.create(CONFIG, { reuse: false });
    await one.pipelines.run(pipeline_id);
    await reached(one, pipeline_id, "ppo", 7);
    expect((await two.pipelines.record(pipeline_id)).state).toBe("running");
    for (const command of ["run", "pause", "stop"] as const)
      expect(await codeOf(two.pipelines[command](pipeline_id))).toBe("storage.busy");
    two.seen.length = 0;
    await one.pipelines.pause(pipeline_id);
    await until(() => two.seen.includes("pipelines"));
    await until(async () => (await two.pipelines.record(pipeline_id)).state === "paused");
    gates.clear();
    await two.pipelines.run(pipeline_id);
    await two.pipelines.rest(pipeline_id);
    expect(await statesOf(one, pipeline_id)).toBe(ALL_FINISHED);
  });

  it.each(ORDER)("that die in the middle of %s leave a pipeline that goes on from its checkpoint", async (stage) => {
    hold(stage);
    const fuse = new Fuse(Number.POSITIVE_INFINITY);
    const one = await studio.tab(train, (root) => fuse.through(root));
    const { pipeline_id } = await one.pipelines.create(CONFIG, { reuse: false });
    await one.pipelines.run(pipeline_id);
    await reached(one, pipeline_id, stage, 7);
    const { run_id } = (await one.pipelines.record(pipeline_id)).stages[ORDER.indexOf(stage)] ?? { run_id: "" };
    fuse.blow();
    studio.kill();

    gates.clear();
    const two = await studio.tab(train);
    const left = await two.pipelines.record(pipeline_id);
    expect(left).toMatchObject({
      state: "paused",
      error: { code: "run.interrupted", details: { checkpoint_step: 5 } },
    });
    const run = await two.runs.record(run_id ?? "");
    expect(await two.pipelines.goesOnWith(run)).toBe(pipeline_id);
    studio.trained.length = 0;
    await two.pipelines.run(pipeline_id);
    await two.pipelines.rest(pipeline_id);
    expect(studio.trained).toEqual([`${stage} again`, ...ORDER.slice(ORDER.indexOf(stage) + 1)]);
    expect(await statesOf(two, pipeline_id)).toBe(ALL_FINISHED);
  });
});
