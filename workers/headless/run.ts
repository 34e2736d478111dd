/** `nagi run FILE.json --out DIR`: the stage the browser runs, with the same engine and configuration, in Node on Dawn. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { version } from "../../package.json";
import { NagiError } from "../../src/shared/errors";
import { dataOf, pairsOf, type RunConfig } from "../../src/shared/protocol/config";
import type { RunEventBody } from "../../src/shared/protocol/events";
import { type DawnAdapter, openDawn } from "../engine/gpu/dawn";
import { exportRewardModel } from "../engine/train/export";
import { runStage } from "../engine/train/run-stage";
import type { Control, StageOutcome } from "../engine/train/stage";
import { parseRunConfig } from "./config";
import { CheckpointFolder, EventLog, writeFiles, writeWhole } from "./folder";
import { Progress } from "./progress";
import { isMissing, modelSource, readDataFile, reasonOf } from "./sources";

export interface RunOptions {
  /** The configuration file. */
  readonly file: string;
  /** The folder that receives metrics.jsonl, checkpoint/, model/ and report.json. */
  readonly out: string;
  /** PATH=VALUE overrides, in order. */
  readonly set: readonly string[];
  /** Default: the environment's NAGI_ADAPTER, else what is installed. */
  readonly adapter?: DawnAdapter;
  /** Continue from the checkpoint in `out`. */
  readonly resume: boolean;
  /** Told about every line of progress. */
  readonly say: (line: string) => void;
  readonly control: Control;
}

/** Exit codes of the command line. `usage`: the arguments, or a file they name, are wrong. */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

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
 * Throws NagiErrors for what is wrong before the stage starts: config.*, data.unreadable, model.file_missing,
 * run.no_checkpoint {folder}, gpu.*, storage.*.
 */
export async function runCommand(options: RunOptions): Promise<number> {
  const { say } = options;
  const config = await readConfig(options);
  for (const remark of remarks(config)) say(remark);
  const out = resolve(options.out);
  const storage = new CheckpointFolder(out);
  const checkpoint = await storage.loadCheckpoint();
  if (options.resume && !checkpoint)
    throw new NagiError("run.no_checkpoint", `${out} holds no checkpoint to resume from: leave out --resume.`, {
      folder: out,
    });
  const model = modelSource(config.model.model_name_or_path);
  const [stage] = config.stages;
  if (!stage) throw new NagiError("internal", "a run has a stage");
  const pairs = pairsOf(stage);
  const { train, validation, test } = dataOf(config, stage);
  const data = {
    train: await readDataFile(train),
    validation: await readDataFile(validation),
    test: test === null ? null : await readDataFile(test),
  };
  if (!options.resume && (checkpoint || existsSync(join(out, "metrics.jsonl"))))
    say(`${out} holds an earlier run, which this one replaces (--resume continues it)`);
  const gpu = await openDawn(options.adapter);
  const runId = `${config.name}-${Date.now().toString(36)}`;
  const log = EventLog.open(out, runId, options.resume);
  try {
    const progress = new Progress(() => performance.now());
    const emit = (event: RunEventBody): void => {
      log.write(event);
      for (const line of progress.lines(event)) say(line);
    };
    const outcome = await runStage({
      config,
      stage,
      gpu,
      model,
      adapter: null,
      reward_models: [],
      models: [],
      data,
      pairs: pairs === null ? null : await readDataFile(pairs),
      storage,
      control: options.control,
      emit,
      clock: () => performance.now(),
      resume: options.resume,
      saveArtefact: (_, files) => writeFiles(join(out, "model"), files),
    });
    if (outcome.state === "failed") return failure(outcome, out, say);
    if (outcome.state !== "finished") {
      say(`stopped at step ${outcome.step} of ${outcome.total_steps}; the same command with --resume continues`);
      return EXIT.interrupted;
    }
    const bytes = await storage.loadCheckpoint();
    if (bytes && stage.stage === "reward")
      await writeFiles(join(out, "model"), await exportRewardModel({ stage, model, checkpoint: bytes }));
    await writeWhole(join(out, "report.json"), report(config, outcome, gpu.adapterName));
    say(`${join(out, "report.json")} and ${join(out, "model")} written, ${outcome.seconds.toFixed(0)} s`);
    return EXIT.ok;
  } finally {
    log.close();
    gpu.destroy();
  }
}

function report(config: RunConfig, outcome: StageOutcome, adapter: string): string {
  const stage = {
    stage: "reward",
    metrics: outcome.metrics,
    seconds: outcome.seconds,
    tokensPerSecond: outcome.tokens_per_second,
  };
  return `${JSON.stringify({ version, adapter, seed: config.seed, config, stages: [stage] }, null, 2)}\n`;
}

function failure(outcome: StageOutcome, out: string, say: (line: string) => void): number {
  if (outcome.error) say(`${outcome.error.code}: ${outcome.error.message}`);
  if (outcome.checkpoint_step !== null)
    say(
      `the checkpoint of step ${outcome.checkpoint_step} is in ${out}; the same command with --resume continues from it`,
    );
  return outcome.error && /^(data|model|config)\./.test(outcome.error.code) ? EXIT.usage : EXIT.failed;
}
