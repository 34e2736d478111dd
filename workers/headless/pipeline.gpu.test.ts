/** `nagi run` of a whole pipeline on a real device with a tiny model: what it leaves, resumes and makes anew. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunConfig } from "../../src/shared/protocol/config";
import { TEMPLATES } from "../../src/shared/protocol/defaults";
import { openDawn } from "../engine/gpu/dawn";
import { tinyData, tinyModel } from "../engine/train/tiny";
import { generate } from "./generate";
import { type RunOptions, runCommand } from "./run";

const TOKENIZER = fileURLToPath(new URL("../../public/models/nagi-base/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nagi-pipeline-"));
const at = (...parts: string[]) => join(folder, ...parts);
const json = (...parts: string[]) => JSON.parse(readFileSync(at(...parts), "utf8"));

/** The tutorial, cut down to seconds. */
function tinyTutorial(): RunConfig {
  const small = { max_steps: 3, per_device_train_batch_size: 4, max_length: 32, eval_steps: 3, save_steps: 2 };
  const prompt = { unit: "tokens", length: 2 } as const;
  const stages = TEMPLATES["positive-reviews"].stages.map((stage): RunConfig["stages"][number] => {
    switch (stage.stage) {
      case "sft":
        return { ...stage, ...small, prompt, sample_texts: 1 };
      case "reward":
        return { ...stage, ...small };
      case "ppo":
        return {
          ...stage,
          prompt,
          total_episodes: 16,
          rollout_batch_size: 8,
          num_ppo_epochs: 1,
          response_length: 6,
          eval_steps: 2,
          save_steps: 1,
          sample_texts: 1,
        };
      case "evaluate":
        return { ...stage, prompt, num_prompts: 5, generation: { ...stage.generation, max_new_tokens: 6 } };
      default:
        return stage;
    }
  });
  const data = { train: at("train.jsonl"), validation: at("validation.jsonl"), test: at("test.jsonl") };
  return {
    ...TEMPLATES["positive-reviews"],
    model: { model_name_or_path: at("model"), init: "pretrained" },
    data,
    stages,
  };
}

beforeAll(async () => {
  const files = ["tokenizer.json", "tokenizer_config.json"].map(
    (file) => [file, new Uint8Array(readFileSync(join(TOKENIZER, file)))] as const,
  );
  const model = await tinyModel(new Map(files));
  mkdirSync(at("model"));
  for (const path of await model.list()) writeFileSync(at("model", path), await model.read(path));
  for (const [name, file] of Object.entries(tinyData)) writeFileSync(at(`${name}.jsonl`), file.bytes);
  writeFileSync(at("run.json"), JSON.stringify(tinyTutorial()));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function run(options: Partial<RunOptions> = {}) {
  const lines: string[] = [];
  const printed: string[] = [];
  const code = await runCommand({
    file: at("run.json"),
    out: at("out"),
    set: [],
    resume: false,
    say: (line) => void lines.push(line),
    print: (text) => void printed.push(text),
    control: { state: () => "run" },
    ...options,
  });
  return { code, lines, printed: printed.join("\n") };
}

const STAGES = ["sft", "reward", "judge", "merge", "ppo", "evaluate"];

describe("nagi run of a pipeline", () => {
  it("stops in the middle of PPO, resumes, and leaves every stage with a report", async () => {
    let updates = 0;
    // Asked after every step of every stage: lets everything pass until PPO has checkpointed.
    const control = {
      state: () => (existsSync(at("out", "stages", "ppo", "checkpoint")) && ++updates > 0 ? "pause" : "run"),
    } as const;
    const paused = await run({ control });
    expect(paused.code).toBe(130);
    expect(paused.lines.at(-1)).toContain("--resume");
    expect(existsSync(at("out", "report.json"))).toBe(false);
    const { code, lines, printed } = await run({ resume: true });
    expect(code).toBe(0);
    expect(lines.filter((line) => line.endsWith("finished before"))).toHaveLength(4);
    expect(lines.some((line) => line.startsWith("[ppo] resumed at step"))).toBe(true);
    const report = json("out", "report.json");
    expect(report.stages.map(({ id }: { id: string }) => id)).toEqual(STAGES);
    const { metrics } = report.stages.at(-1);
    expect(metrics.prompts).toBe(5);
    for (const key of ["reward_sft_mean", "reward_rlhf_mean", "kl_nats", "distinct2_ratio"])
      expect(metrics[key], key).toBeTypeOf("number");
    for (const key of ["reward_difference_ci95", "holdout_reward_difference_ci95"]) {
      expect(metrics[key], key).toHaveLength(2);
      expect(metrics[key][0]).toBeLessThanOrEqual(metrics[key][1]);
    }
    expect(printed).toContain("## evaluate (evaluate");
    expect(printed.split("\n").filter((line) => line.startsWith("| ")).length).toBeGreaterThan(6);
    expect(readFileSync(at("out", "report.html"), "utf8")).toContain("<svg");
    for (const [id, made] of [
      ["sft", "adapter/adapter_model.safetensors"],
      ["judge", "model/model.safetensors"],
      ["merge", "model/config.json"],
      ["ppo", "adapter/adapter_config.json"],
      ["evaluate", "generations/generations.jsonl"],
    ] as const)
      expect(existsSync(at("out", "stages", id, made)), `${id}/${made}`).toBe(true);
    // Lineage: what PPO started from is what the merge made.
    const { artefact } = json("out", "stages", "ppo", "stage.json");
    expect(artefact.parents).toContainEqual({
      slot: "model",
      id: json("out", "stages", "merge", "stage.json").artefact.id,
    });
  });

  it("makes a stage and all after it anew with --from, and nothing with --resume when all is done", async () => {
    const untouched = await run({ resume: true });
    expect(untouched.lines.filter((line) => line.endsWith("finished before"))).toHaveLength(6);
    const again = await run({ from: "evaluate" });
    expect(again.code).toBe(0);
    expect(again.lines.filter((line) => line.endsWith("finished before"))).toHaveLength(5);
    await expect(run({ from: "dpo" })).rejects.toMatchObject({ code: "config.invalid" });
  });

  it("leaves an adapter and a merged model that write the same", async () => {
    const gpu = await openDawn();
    try {
      const write = (model: string, adapter: string | null) =>
        generate(gpu, {
          model,
          adapter,
          prompts: ["とても"],
          generation: { max_new_tokens: 8, temperature: 0, top_k: 0, top_p: 1 },
          seed: 0,
        });
      const merged = await write(at("out", "stages", "merge", "model"), null);
      expect(merged[0]?.tokens).toBeGreaterThan(0);
      expect(await write(at("model"), at("out", "stages", "sft", "adapter"))).toEqual(merged);
    } finally {
      gpu.destroy();
    }
  });
});
