/**
 * A training step on paper: its FLOPs and bytes as the engine's own plan lists them for a config.json, and how long they
 * take at least on a GPU of given rates. Nothing is allocated or run (dry-device.ts).
 */

import { DEFAULT_LORA } from "../../../src/shared/protocol/defaults";
import type { AdapterProfile } from "../gpu/device";
import type { Dispatch } from "../gpu/dispatch";
import { openDryGpu } from "../gpu/dry-device";
import { type GpuSpeed, INTEGRATED_GPU } from "../gpu/estimate";
import type { NeoxConfig } from "../model/neox-config";
import { Trainer, type TrainerOptions } from "../train/trainer";
import { ADAMW } from "./cases";

/** f32 rates that makers state; a laptop of Apple's M2 class, a desktop card of the RTX 4070's. */
export const PAPER_GPUS: Readonly<Record<string, GpuSpeed>> = {
  integrated: INTEGRATED_GPU,
  "M-class laptop": { flops: 3.6e12, bytes: 100e9 },
  "desktop card": { flops: 29e12, bytes: 504e9 },
};

/** A GPU with everything the engine can use and no limit in the way. */
const PAPER_PROFILE: AdapterProfile = {
  limits: {
    maxBufferSize: 2 ** 32,
    maxStorageBufferBindingSize: 2 ** 32 - 4,
    maxStorageBuffersPerShaderStage: 10,
    maxUniformBufferBindingSize: 65_536,
    maxComputeWorkgroupStorageSize: 32_768,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupSizeX: 1024,
    maxComputeWorkgroupSizeY: 1024,
    maxComputeWorkgroupSizeZ: 64,
    maxComputeWorkgroupsPerDimension: 65_535,
  },
  features: ["shader-f16", "subgroups"],
  info: {
    vendor: "paper",
    architecture: "",
    device: "",
    description: "paper",
    isFallbackAdapter: false,
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
  },
};

export const PAPER_STEPS = {
  "reward model, LoRA": { task: "reward", objective: "binary", lora: DEFAULT_LORA },
  "reward model, all parameters": { task: "reward", objective: "binary" },
  "SFT, LoRA": { task: "causal-lm", lora: DEFAULT_LORA },
  "SFT, all parameters": { task: "causal-lm" },
} as const satisfies Readonly<Record<string, Pick<TrainerOptions, "task" | "objective" | "lora">>>;
export type PaperStep = keyof typeof PAPER_STEPS;

/** Kinds of work, and which dispatches (by their labels) belong to each; the first that fits counts. */
const KINDS = {
  linears: /^linear/i,
  attention: /^attention/i,
  "output head and loss": /loss/i,
  "AdamW and clipping": /^(adamw|gradient norm)/i,
  embedding: /^embedding/i,
  "norms, GELU, RoPE, residuals": /./,
} as const;
export type PaperKind = keyof typeof KINDS;

export interface PaperRow {
  readonly kind: PaperKind | "total";
  readonly dispatches: number;
  readonly gflop: number;
  /** Of what the dispatches bind: each reads or writes about as much, an embedding's table excepted. */
  readonly gigabytes: number;
  /** Least milliseconds by GPU: per dispatch, the longer of computing and moving. */
  readonly milliseconds: Readonly<Record<string, number>>;
  /** Share of that time in dispatches that wait for memory, by GPU. */
  readonly memoryBound: Readonly<Record<string, number>>;
}

function summed(kind: PaperRow["kind"], dispatches: readonly Dispatch[]): PaperRow {
  const total = (of: (dispatch: Dispatch) => number) => dispatches.reduce((sum, dispatch) => sum + of(dispatch), 0);
  const seconds = ({ flops, bytes }: Dispatch, speed: GpuSpeed) => Math.max(flops / speed.flops, bytes / speed.bytes);
  const gpus = Object.entries(PAPER_GPUS);
  const milliseconds = gpus.map(([name, speed]) => [name, 1000 * total((one) => seconds(one, speed))] as const);
  const memoryBound = gpus.map(([name, speed]) => {
    const waits = total((one) => (one.bytes / speed.bytes > one.flops / speed.flops ? seconds(one, speed) : 0));
    const all = total((one) => seconds(one, speed));
    return [name, all === 0 ? 0 : waits / all] as const;
  });
  return {
    kind,
    dispatches: dispatches.length,
    gflop: total(({ flops }) => flops) / 1e9,
    gigabytes: total(({ bytes }) => bytes) / 1e9,
    milliseconds: Object.fromEntries(milliseconds),
    memoryBound: Object.fromEntries(memoryBound),
  };
}

/** The rows of one step of `texts` texts of `length` tokens, by kind, the total last. */
export async function paperStep(
  config: NeoxConfig,
  step: PaperStep,
  texts: number,
  length: number,
): Promise<readonly PaperRow[]> {
  const { gpu } = openDryGpu(PAPER_PROFILE);
  const trainer = await Trainer.create(gpu, config, null, {
    ...PAPER_STEPS[step],
    optimizer: { ...ADAMW, max_grad_norm: 1 },
    max_tokens: texts * length,
    max_texts: texts,
  });
  const byKind = new Map<PaperKind, Dispatch[]>();
  const kinds: readonly PaperKind[] = [
    "linears",
    "attention",
    "output head and loss",
    "AdamW and clipping",
    "embedding",
    "norms, GELU, RoPE, residuals",
  ];
  for (const dispatch of trainer.stepDispatches) {
    const kind = kinds.find((one) => KINDS[one].test(dispatch.label)) ?? "norms, GELU, RoPE, residuals";
    byKind.set(kind, [...(byKind.get(kind) ?? []), dispatch]);
  }
  const rows = kinds.map((kind) => summed(kind, byKind.get(kind) ?? [])).filter((row) => row.dispatches > 0);
  return [...rows, summed("total", trainer.stepDispatches)];
}
