/** `nagi bench --roofline`: the tables of docs/performance.md. */

import { readFile } from "node:fs/promises";
import { PAPER_GPUS, type PaperStep, paperStep } from "../../engine/bench/roofline";
import { parseNeoxConfig } from "../../engine/model/neox-config";
import { OPEN_CALM_SMALL } from "../../engine/train/open-calm";
import { table } from "./report";

const TEXTS = 8;
const LENGTH = 128;

/** @param file a config.json; default: open-calm-small's */
export async function rooflineMarkdown(file: string | undefined): Promise<string> {
  const json: unknown = file === undefined ? OPEN_CALM_SMALL : JSON.parse(await readFile(file, "utf8"));
  const config = parseNeoxConfig(json, file ?? "open-calm-small");
  const gpus = Object.entries(PAPER_GPUS);
  const parts = [
    `${file ?? "open-calm-small"}, ${TEXTS} × ${LENGTH} tokens. ${gpus
      .map(([name, { flops, bytes }]) => `${name}: ${flops / 1e12} TFLOP/s, ${bytes / 1e9} GB/s`)
      .join("; ")}.\n\n`,
  ];
  const steps: readonly PaperStep[] = [
    "reward model, LoRA",
    "reward model, all parameters",
    "SFT, LoRA",
    "SFT, all parameters",
  ];
  for (const step of steps) {
    const rows = await paperStep(config, step, TEXTS, LENGTH);
    parts.push(
      `**${step}**\n\n`,
      table(
        ["", "dispatches", "GFLOP", "GB", ...gpus.map(([name]) => `${name} ms (memory-bound)`)],
        rows.map(({ kind, dispatches, gflop, gigabytes, milliseconds, memoryBound }) => [
          kind,
          dispatches,
          gflop.toFixed(0),
          gigabytes.toFixed(2),
          ...gpus.map(
            ([name]) => `${(milliseconds[name] ?? 0).toFixed(0)} (${(100 * (memoryBound[name] ?? 0)).toFixed(0)} %)`,
          ),
        ]),
      ),
      "\n",
    );
  }
  return parts.join("");
}
