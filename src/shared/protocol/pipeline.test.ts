import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { artefactId, artefactManifest, describeArtefact } from "./artefact";
import { type RunConfig, runConfig, type StageConfig } from "./config";
import {
  DEFAULT_DPO_STAGE,
  DEFAULT_EVALUATE_STAGE,
  DEFAULT_MERGE_STAGE,
  DEFAULT_PPO_STAGE,
  DEFAULT_REWARD_STAGE,
  DEFAULT_SFT_STAGE,
  defaultStage,
  TEMPLATES,
} from "./defaults";
import { checkPipeline } from "./pipeline-check";

const codes = (stages: StageConfig[], kindOf?: Parameters<typeof checkPipeline>[1]) =>
  checkPipeline({ stages }, kindOf).map(({ path, code }) => `${path}: ${code}`);
const hash = "0123456789abcdef".repeat(4);

describe("templates", () => {
  it.each(Object.entries<RunConfig>(TEMPLATES))("%s is valid and fits together", (_, template) => {
    expect(runConfig.parse(template)).toEqual(template);
    expect(checkPipeline(template)).toEqual([]);
  });
});

describe("examples/positive-reviews.json", () => {
  it("is the tutorial's template", () => {
    const text = readFileSync(new URL("../../../examples/positive-reviews.json", import.meta.url), "utf8");
    expect(JSON.parse(text)).toEqual(TEMPLATES["positive-reviews"]);
  });
});

describe("defaultStage", () => {
  it("builds the tutorial's graph stage by stage", () => {
    const stages: StageConfig[] = [];
    for (const kind of ["sft", "reward", "reward", "merge", "ppo", "evaluate"] as const)
      stages.push(defaultStage(kind, stages));
    expect(stages.map(({ id }) => id)).toEqual(["sft", "reward", "reward-2", "merge", "ppo", "evaluate"]);
    expect(stages[3]).toMatchObject({ adapter: "sft" });
    expect(stages[4]).toMatchObject({ model: "merge", reward_model: "reward" });
    expect(stages[5]).toMatchObject({ models: ["merge", "ppo"], reward_models: ["reward", "reward-2"] });
    expect(checkPipeline({ stages })).toEqual([]);
  });

  it("leaves to the check what is missing", () => {
    expect(codes([defaultStage("merge", [])])).toEqual(["stages.0.adapter: unknown_slot"]);
    expect(codes([defaultStage("ppo", [])])).toEqual(["stages.0.reward_model: unknown_slot"]);
    expect(codes([defaultStage("evaluate", [])])).toEqual([]);
  });
});

describe("checkPipeline", () => {
  it("finds ids that are taken or reserved", () => {
    expect(codes([DEFAULT_REWARD_STAGE, DEFAULT_REWARD_STAGE])).toEqual(["stages.1.id: duplicate_id"]);
    expect(codes([{ ...DEFAULT_REWARD_STAGE, id: "base" }])).toEqual(["stages.0.id: reserved_id"]);
  });

  it("finds slots that name a later stage, or this one", () => {
    expect(codes([{ ...DEFAULT_SFT_STAGE, peft: null, model: "sft" }])).toEqual(["stages.0.model: later_stage"]);
    expect(codes([DEFAULT_MERGE_STAGE, DEFAULT_SFT_STAGE])).toEqual(["stages.0.adapter: later_stage"]);
  });

  it("finds slots of the wrong kind", () => {
    expect(codes([DEFAULT_REWARD_STAGE, { ...DEFAULT_PPO_STAGE, model: "reward" }])).toEqual([
      "stages.1.model: wrong_kind",
    ]);
    expect(codes([{ ...DEFAULT_SFT_STAGE, peft: null }, DEFAULT_MERGE_STAGE])).toEqual([
      "stages.1.adapter: wrong_kind",
    ]);
    const models = ["base", "reward", "sft"];
    expect(codes([DEFAULT_SFT_STAGE, DEFAULT_REWARD_STAGE, { ...DEFAULT_EVALUATE_STAGE, models }])).toEqual([
      "stages.2.models.1: wrong_kind",
    ]);
  });

  it("asks for a merge where an adapter would stand on an adapter", () => {
    expect(codes([DEFAULT_SFT_STAGE, { ...DEFAULT_DPO_STAGE, model: "sft" }])).toEqual(["stages.1.model: needs_merge"]);
    // Full training folds the adapter in while loading.
    expect(codes([DEFAULT_SFT_STAGE, { ...DEFAULT_REWARD_STAGE, model: "sft" }])).toEqual([]);
  });

  it("takes artefacts at their word, unless it is told what they are", () => {
    const stage = { ...DEFAULT_DPO_STAGE, model: `artefact:${hash}` };
    expect(codes([stage])).toEqual([]);
    expect(codes([stage], () => "model")).toEqual([]);
    expect(codes([stage], (id) => (id === hash ? "generations" : undefined))).toEqual(["stages.0.model: wrong_kind"]);
    expect(codes([{ ...stage, model: "artefact:12" }])).toEqual(["stages.0.model: unknown_slot"]);
  });

  it("finds templates without their place, and pairs that nobody reads", () => {
    expect(codes([{ ...DEFAULT_SFT_STAGE, template: "x" }])).toEqual(["stages.0.template: bad_template"]);
    expect(codes([{ ...DEFAULT_REWARD_STAGE, pairs: "votes.jsonl" }])).toEqual(["stages.0.pairs: unused_pairs"]);
    expect(codes([{ ...DEFAULT_REWARD_STAGE, pairs: "votes.jsonl", objective: "pairwise" }])).toEqual([]);
  });

  it("finds parts that do not exist", () => {
    expect(codes([{ ...DEFAULT_REWARD_STAGE, rows: { part: 2, of: 2 } }])).toEqual(["stages.0.rows.part: bad_part"]);
  });
});

describe("artefacts", () => {
  const facts = {
    kind: "model",
    name: "merge",
    created: 1,
    parents: [{ slot: "model", id: "bundled:nagi-base" }],
    run_id: "r",
    stage: DEFAULT_MERGE_STAGE,
    seed: 3,
  } as const;
  const files = new Map([
    ["b", new TextEncoder().encode("abc")],
    ["a", new Uint8Array()],
  ]);

  it("are named by what they are", async () => {
    const record = await describeArtefact(files, { ...facts, parents: [...facts.parents] });
    expect(record.files).toEqual([
      { path: "a", bytes: 0, sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
      { path: "b", bytes: 3, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    ]);
    const { id, ...manifest } = record;
    // The order of fields is nobody's business, their values are.
    const turned = Object.fromEntries(Object.entries(manifest).reverse());
    expect(await artefactId(artefactManifest.parse(turned))).toBe(id);
    expect(await artefactId({ ...manifest, seed: 4 })).not.toBe(id);
  });
});
