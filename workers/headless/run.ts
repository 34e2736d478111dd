/** `nagi run FILE.json --out DIR`: the stages the browser runs, with the same engine and configuration, in Node on Dawn. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { version } from "../../package.json";
import { NagiError } from "../../src/shared/errors";
import { dataOf, pairsOf, type RunConfig } from "../../src/shared/protocol/config";
import { parseRunConfig } from "../../src/shared/protocol/config-file";
import { type DawnAdapter, openDawn } from "../engine/gpu/dawn";
import { readCredit } from "../engine/io/model-card";
import type { Control, StageOutcome } from "../engine/train/stage";
import { CheckpointFolder, writeWhole } from "./folder";
import { generationsOf, htmlReport } from "./outcome";
import { type PipelineOutcome, runPipeline, stageFolder } from "./pipeline";
import { preflightRun } from "./preflight";
import { figuresMarkdown, reportJson, textRows, textsMarkdown } from "./report";
import { isMissing, modelSource, readDataFile, reasonOf } from "./sources";

export interface RunOptions {
  /** The configuration file. */
  readonly file: string;
  /**
   * The folder that receives report.json and, for several stages, report.html and stages/<id>/. metrics.jsonl,
   * checkpoint/ and what was made lie in the stage's folder, of a single stage in `out` itself.
   */
  readonly out: string;
  /** PATH=VALUE overrides, in order. */
  readonly set: readonly string[];
  /** Default: the environment's NAGI_ADAPTER, else what is installed. */
  readonly adapter?: DawnAdapter;
  /** Keep finished stages and continue the one that was interrupted. */
  readonly resume: boolean;
  /** Keep what is finished before this stage. */
  readonly from?: string | null;
  /** Told about every line of progress. */
  readonly say: (line: string) => void;
  /** Receives the results of a pipeline, Markdown. */
  readonly print: (text: string) => void;
  readonly control: Control;
}

/** Exit codes of the command line. `usage`: the arguments, or a file they name, are wrong. */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Prompts of the table on stdout. */
const SHOWN_TEXTS = 10;

async function readConfig(options: RunOptions): Promise<RunConfig> {
  let text: string;
  try {
    text = await readFile(options.file, "utf8");
  } catch (error) {
    const problem = isMissing(error) ? "there is no such file" : reasonOf(error);
    throw new NagiError(
      "config.invalid",
      `${resolve(options.file)}: ${problem}. Name a run's configuration, for instance examples/reward.json.`,
      { file: options.file, path: "(the file)", problem, allowed: "a JSON file" },
    );
  }
  return parseRunConfig(text, options.file, options.set);
}

/** What may surprise in a configuration that is valid. */
function remarks(config: RunConfig): string[] {
  const { train, test } = config.data;
  return !train.startsWith("bundled:") && test?.startsWith("bundled:")
    ? [`data.test is still ${test}, of another kind than data.train: --set data.test=FILE, or =null for none`]
    : [];
}

/**
 * Runs a configuration to its end, to a pause (`control`) or to its failure, and returns the exit code.
 * Throws NagiErrors for what is wrong before a stage starts: config.*, data.unreadable, model.file_missing, artefact.*,
 * run.no_checkpoint {folder}, gpu.*, storage.*.
 */
export async function runCommand(options: RunOptions): Promise<number> {
  const { say, resume, control } = options;
  const config = await readConfig(options);
  for (const remark of remarks(config)) say(remark);
  const out = resolve(options.out);
  const from = options.from ?? null;
  await checkReferences(config);
  const started = await isStarted(config, out);
  if (resume && !started)
    throw new NagiError("run.no_checkpoint", `${out} holds no checkpoint to resume from: leave out --resume.`, {
      folder: out,
    });
  if (!resume && from === null && (started || existsSync(join(out, "metrics.jsonl"))))
    say(`${out} holds an earlier run, which this one replaces (--resume continues it)`);
  const gpu = await openDawn(options.adapter);
  try {
    // What goes on has been asked before, and has its checkpoints on the disk.
    if (!resume && from === null) await preflightRun(config, out, gpu, say);
    const outcome = await runPipeline({ config, out, gpu, resume, from, control, say });
    if (outcome.ended !== null) return notFinished(outcome.ended.outcome, out, say);
    await report(options, config, out, { outcome, adapter: gpu.adapterName });
    return EXIT.ok;
  } finally {
    gpu.destroy();
  }
}

/** Whether there is something to continue. */
async function isStarted(config: RunConfig, out: string): Promise<boolean> {
  for (const stage of config.stages) {
    const folder = stageFolder(config, stage, out);
    if (existsSync(join(folder.path, "stage.json"))) return true;
    if ((await new CheckpointFolder(folder.path).loadCheckpoint()) !== null) return true;
  }
  return false;
}

/** Names what is missing before anything is written. Throws data.unreadable, model.file_missing. */
async function checkReferences(config: RunConfig): Promise<void> {
  modelSource(config.model.model_name_or_path);
  const files = config.stages.flatMap((stage) => [...Object.values(dataOf(config, stage)), pairsOf(stage)]);
  for (const file of new Set(files)) if (file !== null) await readDataFile(file);
}

async function report(
  { say, print }: RunOptions,
  config: RunConfig,
  out: string,
  { outcome, adapter }: { readonly outcome: PipelineOutcome; readonly adapter: string },
): Promise<void> {
  const { results } = outcome;
  const base = await readCredit(modelSource(config.model.model_name_or_path));
  const facts = { version, adapter, base, config, stages: results.map((result) => result.report) };
  await writeWhole(join(out, "report.json"), reportJson(facts));
  const seconds = results.reduce((sum, result) => sum + result.report.seconds, 0).toFixed(0);
  const [only] = results;
  const [stage] = config.stages;
  if (only && stage && config.stages.length === 1) {
    const made = stageFolder(config, stage, out).output(only.artefact.kind);
    say(`${join(out, "report.json")} and ${made} written, ${seconds} s`);
    return;
  }
  const rows = textRows(await generationsOf(config, out));
  await writeWhole(join(out, "report.html"), await htmlReport(facts, out, rows));
  print(figuresMarkdown(facts.stages));
  if (rows.length > 0) print(textsMarkdown(rows, SHOWN_TEXTS));
  say(`${join(out, "report.json")} and report.html written, ${seconds} s`);
}

function notFinished(outcome: StageOutcome, out: string, say: (line: string) => void): number {
  if (outcome.state !== "failed") {
    say(`stopped at step ${outcome.step} of ${outcome.total_steps}; the same command with --resume continues`);
    return EXIT.interrupted;
  }
  if (outcome.error) say(`${outcome.error.code}: ${outcome.error.message}`);
  if (outcome.checkpoint_step !== null)
    say(
      `the checkpoint of step ${outcome.checkpoint_step} is in ${out}; the same command with --resume continues from it`,
    );
  return outcome.error && /^(data|model|config)\./.test(outcome.error.code) ? EXIT.usage : EXIT.failed;
}
