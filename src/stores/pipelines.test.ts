import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type PipelineRecord, type PipelineStage, provideBackend, type StudioChange } from "../clients/backend";
import { EMPTY_BACKEND } from "../clients/scripted";
import { NagiError } from "../shared/errors";
import { TEMPLATES } from "../shared/protocol/defaults";
import type { RunRecord } from "../shared/protocol/run";
import { useArtefacts } from "./artefacts";
import { followRuns, usePipelines } from "./pipelines";
import { useRuns } from "./runs";

const CONFIG = TEMPLATES["sft-only"];

const stage = (change: Partial<PipelineStage> = {}): PipelineStage => ({
  id: "sft",
  state: "queued",
  run_id: "r",
  artefact: null,
  reused: false,
  step: 0,
  total_steps: 0,
  ...change,
});

const pipeline = (created: number, stages = [stage()]): PipelineRecord => ({
  pipeline_id: `p${created}`,
  name: CONFIG.name,
  config: CONFIG,
  places: {},
  created,
  state: "running",
  error: null,
  stages,
});

const run = (change: Partial<RunRecord> = {}): RunRecord => ({
  run_id: "r",
  config: CONFIG,
  stage: "sft",
  pipeline_id: "p1",
  place: null,
  inputs: { model: "bundled:nagi-base" },
  artefact: null,
  state: "paused",
  error: null,
  created: 1,
  seconds: 0,
  step: 4,
  total_steps: 10,
  checkpoint_step: 4,
  adapter: "",
  version: "test",
  metrics: {},
  ...change,
});

let records: PipelineRecord[];
let runs: RunRecord[];
let calls: string[];
let failure: NagiError | null;
let tell: (change: StudioChange) => void;
/** Lets the answer to the next list through. */
let answers: (() => void)[] | null;

beforeEach(() => {
  records = [pipeline(1), pipeline(2)];
  runs = [];
  calls = [];
  failure = null;
  answers = null;
  provideBackend({
    ...EMPTY_BACKEND,
    listRuns: async () => [...runs],
    listArtefacts: async () => {
      calls.push("artefacts");
      return [];
    },
    listPipelines: async () => {
      calls.push("list");
      if (failure !== null) throw failure;
      if (answers !== null) await new Promise<void>((resolve) => answers?.push(resolve));
      return [...records];
    },
    createPipeline: async (config) => {
      const made = { ...pipeline(3), config };
      records.push(made);
      return made;
    },
    runPipeline: async (id) => void calls.push(`run ${id}`),
    pausePipeline: async () => {
      throw new NagiError("storage.busy", "another tab", {});
    },
    changes: async (listener) => {
      tell = listener;
      return () => undefined;
    },
  });
});

afterEach(() => {
  usePipelines.setState({ loaded: false, loadError: null, pipelines: [] });
  useRuns.setState({ loaded: false, loadError: null, runs: [] });
  useArtefacts.setState({ artefacts: [] });
});

const ids = () => usePipelines.getState().pipelines.map(({ pipeline_id }) => pipeline_id);
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("usePipelines", () => {
  it("lists the newest first, and keeps the error until it can", async () => {
    failure = new NagiError("storage.unavailable", "denied", { message: "denied" });
    await usePipelines.getState().load();
    expect(usePipelines.getState()).toMatchObject({ loaded: true, loadError: { code: "storage.unavailable" } });
    failure = null;
    await usePipelines.getState().load();
    expect(usePipelines.getState().loadError).toBeNull();
    expect(ids()).toEqual(["p2", "p1"]);
  });

  it("lists a new one at once, and again after every command, also one that is refused", async () => {
    await usePipelines.getState().load();
    const made = await usePipelines.getState().create(CONFIG, { reuse: false });
    expect(ids()[0]).toBe(made.pipeline_id);
    await usePipelines.getState().run(made.pipeline_id);
    expect(calls).toContain(`run ${made.pipeline_id}`);
    calls.length = 0;
    await expect(usePipelines.getState().pause("p1")).rejects.toMatchObject({ code: "storage.busy" });
    expect(calls).toContain("list");
  });

  it("follows the runs of its stages", async () => {
    await usePipelines.getState().load();
    useRuns.setState({ runs: [run()] });
    expect(usePipelines.getState().pipelines[1]?.stages[0]).toMatchObject({
      state: "paused",
      step: 4,
      total_steps: 10,
    });
  });

  it("reads again when something has changed, once for any number of changes meanwhile", async () => {
    await usePipelines.getState().load();
    await settled();
    calls.length = 0;
    answers = [];
    for (let i = 0; i < 10; i++) tell("pipelines");
    while (answers.length === 0) await settled();
    for (let i = 0; i < 10; i++) tell("pipelines");
    const open = answers;
    answers = null;
    for (const answer of open) answer();
    await settled();
    await settled();
    expect(calls.filter((call) => call === "list").length).toBe(2);
    tell("artefacts");
    await settled();
    expect(calls).toContain("artefacts");
  });
});

describe("followRuns", () => {
  it("gives back the same objects where nothing is new, so that nothing is drawn again", () => {
    const listed = [pipeline(1), pipeline(2, [stage({ run_id: null, state: "waiting" })])];
    const followed = followRuns(listed, [run({ state: "running" })]);
    expect(followed).not.toBe(listed);
    expect(followed[1]).toBe(listed[1]);
    expect(followRuns(followed, [run({ state: "running" })])).toBe(followed);
  });

  it("leaves a stage alone that was taken over from elsewhere", () => {
    const listed = [pipeline(1, [stage({ reused: true, state: "finished", artefact: "a" })])];
    expect(followRuns(listed, [run({ state: "running" })])).toBe(listed);
  });
});
