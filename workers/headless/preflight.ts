/** Before a run starts: what each of its stages needs of this machine, said in a line, and refused where it does not fit. */
import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname } from "node:path";
import { NagiError } from "../../src/shared/errors";
import type { RunConfig } from "../../src/shared/protocol/config";
import type { PreflightProblem, StagePreflight } from "../../src/shared/protocol/preflight";
import type { Gpu } from "../engine/gpu/gpu";
import type { MachineFacts } from "../engine/train/preflight";
import { preflightWithOffers } from "../engine/train/preflight-offers";
import { refusal } from "../engine/train/refuse";
import { plannedShapes } from "../engine/train/stage-shapes";
import { modelSource } from "./sources";

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 2 : 0)} MiB`;

/**
 * Says what every stage needs.
 * @throws NagiError gpu.limit, gpu.out_of_memory or storage.quota for the first stage that does not fit, after what would
 * fit was said; model.*, config.invalid.
 */
export async function preflightRun(
  config: RunConfig,
  out: string,
  gpu: Gpu,
  say: (line: string) => void,
): Promise<void> {
  const machine = await machineFacts(gpu, out);
  for (const stage of config.stages) {
    const shapes = await plannedShapes(config, stage, {
      model: async (id) => ({ model: modelSource(id), adapter: null }),
      reward: async (id) => modelSource(id),
    });
    const result = await preflightWithOffers({ stage, shapes, seed: config.seed }, machine);
    say(`${stage.id}: ${needsLine(result)}`);
    const refusing = result.problems.find(({ refuses }) => refuses);
    if (refusing === undefined) continue;
    for (const { code, changes, total_bytes } of result.offers)
      say(`${stage.id}: would fit with ${changesText(changes)} (${code}): ${mebibytes(total_bytes)}`);
    throw refusedStage(stage.id, refusing);
  }
}

/** "131 MiB on the GPU (weights 14 MiB, ...), largest binding 14 MiB of 128 MiB, checkpoints of 43 MiB, result 14 MiB". */
export function needsLine({
  total_bytes,
  parts,
  largest_binding,
  limits,
  checkpoint,
  output_bytes,
  step,
}: StagePreflight): string {
  const said = parts.map(({ part, bytes }) => `${part} ${mebibytes(bytes)}`).join(", ");
  return [
    `needs ${mebibytes(total_bytes)} on the GPU (${said})`,
    `largest binding ${mebibytes(largest_binding.bytes)} of ${mebibytes(limits.maxStorageBufferBindingSize)}`,
    ...(checkpoint === null ? [] : [`checkpoints of ${mebibytes(checkpoint.bytes)}`]),
    `result ${mebibytes(output_bytes)}`,
    ...(step === null ? [] : [`up to ${(step.flops / 1e9).toPrecision(3)} GFLOP a step`]),
  ].join(", ");
}

const changesText = (changes: StagePreflight["offers"][number]["changes"]): string =>
  Object.entries(changes)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(" ");

function refusedStage(stage: string, problem: PreflightProblem): NagiError {
  const { code, message, details } = refusal(problem);
  return new NagiError(code, `stage ${stage} does not fit this machine: ${message}`, details);
}

/** A software adapter's buffers lie in the machine's memory; a GPU does not say what it has. */
async function machineFacts(gpu: Gpu, out: string): Promise<MachineFacts> {
  return {
    profile: gpu.adapter,
    memory: gpu.capabilities.cpu ? { bytes: totalmem(), source: "system" } : null,
    storage_free: await freeBytes(out),
    measured: null,
  };
}

/** Bytes that the disk of a folder, which may not be there yet, still has; null where the system does not say. */
async function freeBytes(folder: string): Promise<number | null> {
  if (!existsSync(folder)) return dirname(folder) === folder ? null : freeBytes(dirname(folder));
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
