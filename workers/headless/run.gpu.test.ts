/** `nagi run` on a real device: what it leaves in its folder, and that an interrupted run ends like a whole one. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunEvent, runEvent } from "../../src/shared/protocol/events";
import { tinyConfig, tinyData, tinyModel } from "../engine/train/tiny";
import { type RunOptions, runCommand } from "./run";

const TOKENIZER = fileURLToPath(new URL("../../public/models/nagi-base/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nagi-run-"));
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  const files = ["tokenizer.json", "tokenizer_config.json"].map(
    (file) => [file, new Uint8Array(readFileSync(join(TOKENIZER, file)))] as const,
  );
  const model = await tinyModel(new Map(files));
  mkdirSync(at("model"));
  for (const path of await model.list()) writeFileSync(at("model", path), await model.read(path));
  for (const [name, file] of Object.entries(tinyData)) writeFileSync(at(`${name}.jsonl`), file.bytes);
  const config = tinyConfig({ max_steps: 12 });
  writeFileSync(
    at("run.json"),
    JSON.stringify({
      ...config,
      model: { ...config.model, model_name_or_path: at("model") },
      data: { train: at("train.jsonl"), validation: at("validation.jsonl"), test: at("test.jsonl") },
    }),
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Told {
  readonly code: number;
  readonly lines: readonly string[];
  readonly printed: readonly string[];
}

async function run(out: string, options: Partial<RunOptions> = {}): Promise<Told> {
  const lines: string[] = [];
  const printed: string[] = [];
  const code = await runCommand({
    file: at("run.json"),
    out: at(out),
    set: [],
    resume: false,
    say: (line) => void lines.push(line),
    print: (text) => void printed.push(text),
    control: { state: () => "run" },
    ...options,
  });
  return { code, lines, printed };
}

const events = (out: string): RunEvent[] =>
  readFileSync(at(out, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => runEvent.parse(JSON.parse(line)));

/** The curve without what the clock decides. */
const curve = (out: string) =>
  events(out).flatMap((event) => {
    if (event.type !== "log" && event.type !== "eval" && event.type !== "result") return [];
    const { tokens_per_second: _, train_runtime: __, ...metrics } = event.metrics;
    return [{ type: event.type, step: event.step, metrics }];
  });

const json = (...parts: string[]) => JSON.parse(readFileSync(at(...parts), "utf8"));

describe("nagi run", () => {
  it("writes report.json, metrics.jsonl, the checkpoint and the model", async () => {
    const { code, lines } = await run("whole", { set: ["seed=11", "stages.0.eval_steps=5"] });
    expect(code).toBe(0);
    const report = json("whole", "report.json");
    expect(report).toMatchObject({ seed: 11, config: { seed: 11, stages: [{ eval_steps: 5 }] } });
    expect(report.adapter).not.toBe("");
    expect(report.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(report.stages).toHaveLength(1);
    const [stage] = report.stages;
    expect(stage.stage).toBe("reward");
    expect(stage.seconds).toBeGreaterThan(0);
    expect(stage.tokensPerSecond).toBeGreaterThan(0);
    for (const key of ["test_accuracy", "test_auc", "majority_accuracy", "ngram_accuracy"])
      expect(stage.metrics[key], key).toBeTypeOf("number");
    events("whole").forEach(({ seq }, index) => {
      expect(seq).toBe(index);
    });
    expect(events("whole").at(-1)).toMatchObject({ type: "state", state: "finished" });
    expect(json("whole", "model", "config.json").architectures).toEqual(["GPTNeoXForSequenceClassification"]);
    expect(existsSync(at("whole", "checkpoint", "checkpoint.safetensors"))).toBe(true);
    expect(lines.some((line) => /^step 12\/12 {2}loss /.test(line))).toBe(true);
    expect(lines.some((line) => line.startsWith("test: accuracy "))).toBe(true);
  });

  it("continues an interrupted run to the same curve and the same model", async () => {
    await run("straight");
    let asked = 0;
    const control = { state: () => (++asked > 5 ? "pause" : "run") } as const;
    const paused = await run("broken", { control });
    expect(paused.code).toBe(130);
    expect(paused.lines.at(-1)).toContain("--resume");
    expect(existsSync(at("broken", "report.json"))).toBe(false);
    expect((await run("broken", { resume: true })).code).toBe(0);
    expect(curve("broken")).toEqual(curve("straight"));
    expect(events("broken").map(({ seq }) => seq)).toEqual(events("broken").map((_, index) => index));
    const weights = (out: string) => readFileSync(at(out, "model", "model.safetensors"));
    expect(weights("broken").equals(weights("straight"))).toBe(true);
  });

  it("does without test rows", async () => {
    expect((await run("untested", { set: ["data.test=null", "stages.0.max_steps=2"] })).code).toBe(0);
    const [{ metrics }] = json("untested", "report.json").stages;
    expect(metrics).not.toHaveProperty("test_accuracy");
    expect(metrics.majority_accuracy).toBe(metrics.eval_majority_accuracy);
  });

  it("names what is wrong before anything is written", async () => {
    const wrong = (options: Partial<RunOptions>) => run("never", options);
    await expect(wrong({ file: at("none.json") })).rejects.toMatchObject({ code: "config.invalid" });
    await expect(wrong({ set: ["data.train=none.jsonl"] })).rejects.toMatchObject({ code: "data.unreadable" });
    await expect(wrong({ set: ["model.model_name_or_path=none"] })).rejects.toMatchObject({
      code: "model.file_missing",
    });
    await expect(wrong({ resume: true })).rejects.toMatchObject({ code: "run.no_checkpoint" });
    expect(existsSync(at("never"))).toBe(false);
  });

  it("says what is wrong with the data, and ends with exit code 2", async () => {
    writeFileSync(at("one-label.csv"), "sentence,label\n良い,positive\nとても良い,positive\n");
    const { code, lines } = await run("failed", { set: [`data.train=${at("one-label.csv")}`] });
    expect(code).toBe(2);
    expect(lines.join("\n")).toMatch(/data\.single_label: .*one-label\.csv/);
    expect(events("failed").at(-1)).toMatchObject({ state: "failed", error: { code: "data.single_label" } });
  });
});
