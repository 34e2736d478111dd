/**
 * Adapters that peft wrote (the golden cases) are read and written again: peft's own file is the reference for names and
 * bytes. What the writer gives is committed in fixtures/saved-adapter-*, and workers/remote/tests/test_adapter.py shows
 * that PeftModel.from_pretrained loads it and computes the golden logits.
 * After a wanted change of the writer: NAGI_WRITE_FIXTURES=1 npx vitest run --project unit workers/engine/io/peft
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isLora } from "../model/lora";
import { parseNeoxConfig } from "../model/neox-config";
import type { HeadSpec } from "../model/shapes";
import { engineParameter, isAdapterFolder, loadAdapter, saveAdapter } from "./peft";
import { openSafetensors, writeSafetensors } from "./safetensors";
import { MapSource } from "./source";

const golden = new URL("../golden/", import.meta.url);
const fixtures = new URL("./fixtures/", import.meta.url);
const readFolder = (url: URL) =>
  new Map(readdirSync(url).map((name) => [name, new Uint8Array(readFileSync(new URL(name, url)))]));
const lm: HeadSpec = { kind: "causal-lm" };
const reward: HeadSpec = { kind: "reward", num_labels: 1 };

const neoxOf = (name: string) =>
  parseNeoxConfig(JSON.parse(readFileSync(new URL(`${name}/model/config.json`, golden), "utf8")));
const filesOf = (name: string) => readFolder(new URL(`${name}/adapter/`, golden));
const load = (name: string, head: HeadSpec, files: ReadonlyMap<string, Uint8Array> = filesOf(name)) =>
  loadAdapter(new MapSource("adapter", files), neoxOf(name), head);

/** The adapter of a case with fields of its config replaced. */
function withConfig(name: string, fields: Record<string, unknown>): Map<string, Uint8Array> {
  const files = filesOf(name);
  const config = JSON.parse(new TextDecoder().decode(files.get("adapter_config.json")));
  return files.set("adapter_config.json", new TextEncoder().encode(JSON.stringify({ ...config, ...fields })));
}

async function tensorsOf(files: ReadonlyMap<string, Uint8Array>): Promise<Map<string, unknown>> {
  const source = new MapSource("adapter", files);
  const { tensors } = await openSafetensors(source, "adapter_model.safetensors");
  const entries = [...tensors.values()].map(async ({ name, shape, dtype, start, end }) => {
    const bytes = await source.read("adapter_model.safetensors", start, end);
    return [name, { shape, dtype, bytes: Buffer.from(bytes).toString("hex") }] as const;
  });
  return new Map(await Promise.all(entries));
}

describe("adapters by peft", () => {
  it.each([
    ["lora-all-targets", lm],
    ["lora-one-target", lm],
    ["lora-f16-base", lm],
    ["lora-trajectory", lm],
    ["lora-reward", reward],
  ])("%s comes out again as peft wrote it", async (name, head) => {
    const files = filesOf(name);
    const { lora, tensors } = await load(name, head);
    const again = saveAdapter({ lora, head, tensors, model: neoxOf(name), base_model_name_or_path: null });
    const wanted = await tensorsOf(files);
    // Saved by peft beside an adapted output matrix, though it is the base's.
    wanted.delete("base_model.model.lm_head.base_layer.weight");
    expect(new Map([...(await tensorsOf(again))].sort())).toEqual(new Map([...wanted].sort()));
    const theirs = JSON.parse(new TextDecoder().decode(files.get("adapter_config.json")));
    const ours = JSON.parse(new TextDecoder().decode(again.get("adapter_config.json")));
    const { target_modules, ...rest } = ours;
    expect(theirs).toMatchObject({ ...rest, modules_to_save: theirs.modules_to_save?.sort() ?? null });
    expect(target_modules.length).toBeGreaterThan(0);
    expect(await load(name, head, again)).toMatchObject({ lora });
  });

  it("says what it found", async () => {
    const one = await load("lora-one-target", lm);
    expect(one.lora).toEqual({
      r: 1,
      lora_alpha: 3,
      lora_dropout: 0,
      target_modules: ["gpt_neox.layers.0.attention.dense", "gpt_neox.layers.1.attention.dense"],
    });
    expect(one.config.task_type).toBe("CAUSAL_LM");
    expect([...one.tensors.keys()].every(isLora)).toBe(true);
    const judge = await load("lora-reward", reward);
    expect(judge.config.modules_to_save).toContain("score");
    expect(judge.tensors.get("score.weight")).toHaveLength(12);
    const all = await load("lora-all-targets", lm);
    expect(all.lora.lora_dropout).toBe(0.1);
    expect(all.lora.target_modules).toContain("embed_out");
    expect(all.tensors.has("embed_out.weight")).toBe(true);
    expect((await load("lora-f16-base", lm)).lora.use_rslora).toBe(true);
  });

  it("takes a list by last names, all-linear, and embed_out as an old transformers calls it", async () => {
    const list = ["query_key_value", "attention.dense", "dense_h_to_4h", "dense_4h_to_h"];
    const all = await load("lora-all-targets", lm);
    const old = withConfig("lora-all-targets", { target_modules: [...list, "embed_out"] });
    expect((await load("lora-all-targets", lm, old)).lora).toEqual(all.lora);
    const trajectory = await load("lora-trajectory", lm);
    for (const target_modules of [list, "all-linear", [...list, "embed_out"]]) {
      const files = withConfig("lora-trajectory", { target_modules });
      expect((await load("lora-trajectory", lm, files)).lora).toEqual(trajectory.lora);
    }
  });
});

describe("the writer", () => {
  it.each([
    ["lora-all-targets", lm, "saved-adapter-lm"],
    ["lora-reward", reward, "saved-adapter-reward"],
  ])("%s gives the committed bytes", async (name, head, fixture) => {
    const { lora, tensors } = await load(name, head);
    const names = head.kind === "reward" ? ["query_key_value", "dense_h_to_4h"] : undefined;
    const files = saveAdapter({
      lora: { ...lora, ...(names ? { target_modules: names } : {}) },
      head,
      tensors,
      model: neoxOf(name),
      base_model_name_or_path: "nagi-base",
    });
    const folder = new URL(`${fixture}/`, fixtures);
    if (process.env.NAGI_WRITE_FIXTURES) {
      mkdirSync(folder, { recursive: true });
      for (const [path, bytes] of files) writeFileSync(new URL(path, folder), bytes);
    }
    const hex = (map: ReadonlyMap<string, Uint8Array>) =>
      [...map].map(([path, bytes]) => [path, Buffer.from(bytes).toString("hex")]).sort();
    expect(hex(files)).toEqual(hex(readFolder(folder)));
  });

  it("names what is missing", async () => {
    const { lora } = await load("lora-one-target", lm);
    const model = neoxOf("lora-one-target");
    const save = () => saveAdapter({ lora, head: lm, tensors: new Map(), model, base_model_name_or_path: null });
    expect(save).toThrow(expect.objectContaining({ code: "model.tensor_missing" }));
  });
});

describe("refusals", () => {
  it.each([
    ["peft_type", "IA3"],
    ["task_type", "SEQ_2_SEQ_LM"],
    ["bias", "lora_only"],
    ["fan_in_fan_out", true],
    ["init_lora_weights", "pissa"],
    ["use_dora", true],
    ["use_qalora", true],
    ["lora_bias", true],
    ["rank_pattern", { dense: 4 }],
    ["alpha_pattern", { dense: 4 }],
    ["layers_to_transform", [0]],
    ["layer_replication", [[0, 1]]],
    ["exclude_modules", ["dense"]],
    ["trainable_token_indices", [3]],
    ["target_parameters", ["x"]],
    ["modules_to_save", ["embed_in"]],
    ["a_field_of_tomorrow", { on: true }],
    ["target_modules", "(["],
    ["target_modules", []],
    ["target_modules", ["query_key_value"]],
    ["r", 0],
    ["lora_alpha", "8"],
    ["lora_dropout", 1],
  ])("of %s %j name the field", async (field, value) => {
    await expect(load("lora-one-target", lm, withConfig("lora-one-target", { [field]: value }))).rejects.toMatchObject({
      code: "model.bad_config",
      details: { file: "adapter_config.json", field },
    });
  });

  it("of another rank, of a missing matrix and of a strange tensor name the tensor", async () => {
    const rank = withConfig("lora-one-target", { r: 2 });
    await expect(load("lora-one-target", lm, rank)).rejects.toMatchObject({ code: "model.tensor_shape" });
    const name = "base_model.model.gpt_neox.layers.1.attention.dense.lora_B.weight";
    const { tensors } = await load("lora-one-target", lm);
    const write = (change: (kept: Map<string, Float32Array>) => void) => {
      const kept = new Map(tensors);
      change(kept);
      const list = [...kept].map(([key, data]) => ({
        name: key,
        shape: key.includes("lora_A") ? [1, data.length] : [data.length, 1],
        data,
      }));
      return filesOf("lora-one-target").set("adapter_model.safetensors", writeSafetensors(list));
    };
    await expect(
      load(
        "lora-one-target",
        lm,
        write((kept) => kept.delete(name)),
      ),
    ).rejects.toMatchObject({
      code: "model.tensor_missing",
      details: { tensor: name },
    });
    const strange = "base_model.model.gpt_neox.layers.1.attention.dense.lora_magnitude_vector";
    await expect(
      load(
        "lora-one-target",
        lm,
        write((kept) => kept.set(strange, new Float32Array(3))),
      ),
    ).rejects.toMatchObject({ code: "model.bad_config", details: { field: strange } });
    await expect(load("lora-reward", lm)).rejects.toMatchObject({ code: "model.bad_config" });
  });

  it("of a folder without an adapter", async () => {
    expect(await isAdapterFolder(new MapSource("x", filesOf("lora-reward")))).toBe(true);
    expect(await isAdapterFolder(new MapSource("x", new Map()))).toBe(false);
    await expect(load("lora-reward", reward, new Map())).rejects.toMatchObject({ code: "model.file_missing" });
  });
});

describe("names", () => {
  it.each([
    ["base_model.model.lm_head.lora_A.default.weight", "base_model.model.embed_out.lora_A.weight"],
    [
      "gpt_neox.layers.0.mlp.dense_h_to_4h.lora_B.weight",
      "base_model.model.gpt_neox.layers.0.mlp.dense_h_to_4h.lora_B.weight",
    ],
    ["base_model.model.score.modules_to_save.default.weight", "score.weight"],
    ["base_model.model.score.weight", "score.weight"],
    ["base_model.model.lm_head.base_layer.weight", "embed_out.weight"],
    ["lm_head.weight", "embed_out.weight"],
    ["gpt_neox.embed_in.weight", "gpt_neox.embed_in.weight"],
  ])("%s is %s", (peft, ours) => {
    expect(engineParameter(peft)).toBe(ours);
  });
});
