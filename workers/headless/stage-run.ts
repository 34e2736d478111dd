/** One stage in Node: its files opened, its events logged and said, its work kept in its folder. */
import { performance } from "node:perf_hooks";
import type { ArtefactKind } from "../../src/shared/protocol/artefact";
import { describeArtefact } from "../../src/shared/protocol/artefact";
import { dataOf, pairsOf, type RunConfig, type StageConfig } from "../../src/shared/protocol/config";
import type { RunEventBody } from "../../src/shared/protocol/events";
import { parentsOf, type StageInputs, stageKey } from "../../src/shared/protocol/pipeline-inputs";
import type { Gpu } from "../engine/gpu/gpu";
import { type ModelShelf, openInputs } from "../engine/train/inputs";
import { runStage } from "../engine/train/run-stage";
import type { Control, StageOutcome } from "../engine/train/stage";
import { CheckpointFolder, EventLog } from "./folder";
import { Progress } from "./progress";
import { readDataFile } from "./sources";
import type { StageFolder, StageResult } from "./stage-folder";

export interface StageTask {
  readonly config: RunConfig;
  readonly stage: StageConfig;
  readonly inputs: StageInputs;
  readonly folder: StageFolder;
  readonly shelf: ModelShelf;
  readonly gpu: Gpu;
  readonly resume: boolean;
  readonly control: Control;
  readonly say: (line: string) => void;
}

/**
 * Runs a stage in its folder. The result is null unless it finished.
 * @throws NagiError data.unreadable, model.file_missing, artefact.*, storage.* for what is wrong before it starts
 */
export async function runTask(task: StageTask): Promise<{ outcome: StageOutcome; result: StageResult | null }> {
  const { config, stage, inputs, folder, gpu, resume, say } = task;
  const { train, validation, test } = dataOf(config, stage);
  const pairs = pairsOf(stage);
  const opened = await openInputs(config, stage, inputs, task.shelf);
  const data = {
    train: await readDataFile(train),
    validation: await readDataFile(validation),
    test: test === null ? null : await readDataFile(test),
  };
  const pairsFile = pairs === null ? null : await readDataFile(pairs);
  const created = Date.now();
  const runId = `${config.name}-${stage.id}-${created.toString(36)}`;
  const log = EventLog.open(folder.path, runId, resume);
  const progress = new Progress(() => performance.now());
  const saved: { kind: ArtefactKind; files: ReadonlyMap<string, Uint8Array> }[] = [];
  try {
    const outcome = await runStage({
      config,
      stage,
      gpu,
      ...opened,
      data,
      pairs: pairsFile,
      storage: new CheckpointFolder(folder.path),
      control: task.control,
      emit: (event: RunEventBody): void => {
        log.write(event);
        for (const line of progress.lines(event)) say(line);
      },
      clock: () => performance.now(),
      resume,
      saveArtefact: async (kind, files) => {
        await folder.saveOutput(kind, files);
        saved.push({ kind, files });
      },
    });
    const [made] = saved;
    if (outcome.state !== "finished" || made === undefined) return { outcome, result: null };
    const artefact = await describeArtefact(made.files, {
      kind: made.kind,
      name: `${config.name} / ${stage.id}`,
      created,
      parents: parentsOf(config, stage, inputs),
      run_id: runId,
      stage,
      seed: config.seed,
    });
    const report = {
      stage: stage.stage,
      id: stage.id,
      metrics: outcome.metrics,
      seconds: outcome.seconds,
      tokensPerSecond: outcome.tokens_per_second,
    };
    return { outcome, result: { key: stageKey(config, stage, inputs), report, artefact } };
  } finally {
    log.close();
  }
}
